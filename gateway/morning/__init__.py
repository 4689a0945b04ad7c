"""The morning report: what last night did and what it means, for a person who reads it with coffee.

`gathering` reads everything into one `Morning`; `nights` and `traffic` are its parts from the diary and from the store.
`alarms` and `sentences` say what it means, `tables` shows it in a terminal, `page` as HTML, `running` does what the
command asks. Nothing is changed anywhere.
"""
