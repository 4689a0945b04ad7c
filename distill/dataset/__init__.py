"""Dataset: from kept examples to a folder named by what it holds. Owns the choice of examples and the files; knows
nothing of SQL, of MLX or of how a trace became an example.

`example` is the record and its files, `words` and `category` what one says, `contamination` what no example may repeat,
`ledger` what is noted of each on the first pass, `duplicates`, `split` and `shares` what is decided of all of them,
`building` the order of these, `parts` and `manifest` what is written on the second pass, `folders` what is done with
datasets later on, `unfinished` that one is made at a time.
"""

from distill.dataset.building import Inputs, build, write_dataset
from distill.dataset.example import Dataset, Example, Source, read_examples, replayed, stream_examples
from distill.dataset.folders import Origin, described, forget_in, intact, newest, traces_of, traces_where
from distill.dataset.mixture import Mixture
from distill.dataset.unfinished import COLLECTED, alone

__all__ = [
    "COLLECTED",
    "Dataset",
    "Example",
    "Inputs",
    "Mixture",
    "Origin",
    "Source",
    "alone",
    "build",
    "described",
    "forget_in",
    "intact",
    "newest",
    "read_examples",
    "replayed",
    "stream_examples",
    "traces_of",
    "traces_where",
    "write_dataset",
]
