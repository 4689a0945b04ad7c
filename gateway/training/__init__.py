"""`nightschool train`: runs ordered by hand, watched, searched through and told of. Loads no MLX: the trainer is a
process of its own.

`ordering` makes orders of what a person wants, `running` trains one, `watching` shows it while it goes, `foretelling`
says what it would take, `sweeping` tries several recipes, `tables` and `page` tell how it ended.
"""
