"""The errors of this package, one tree. A class's docstring is its default message.

DistillError
├── BlasTooLate      (distill.mlx.blas)
├── ModelError       a model folder is missing, damaged or not what it says
├── AdapterError     an adapter does not fit its base or is damaged
├── DatasetError     there is nothing to learn from, or a dataset folder is damaged
│   └── NothingKept  no example is left once a dataset is made of them
├── ToolError        a tool call is not allowed or makes no sense
├── QuestionError    the question templates or the vocabularies are damaged
├── ExaminationError an examination's arms, prompts or results make no sense
├── FormatError      a file of traces is in no format that is known
├── RepositoryError  there is no such package or folder to explore
├── PackageError     the package index does not give a wheel, or another one than is pinned
├── ArchiveError     an archive of an examination cannot be had, or is not what it should be
└── Refused          a model does not answer this very request, whoever asks again
    └── Spent        nobody was asked: what a night may take is used up
"""


class DistillError(Exception):
    """Something in the school went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


class ModelError(DistillError):
    """The model folder is missing or damaged."""


class AdapterError(DistillError):
    """The adapter is missing, damaged or made for another base."""


class DatasetError(DistillError):
    """The dataset is empty or damaged."""


class NothingKept(DatasetError):
    """No example is left to learn from."""


class ToolError(DistillError):
    """The tool call is not allowed or makes no sense; the message goes to the model."""


class QuestionError(DistillError):
    """The question templates or the vocabularies are damaged."""


class ExaminationError(DistillError):
    """The examination's arms, prompts or results make no sense."""


class RepositoryError(DistillError):
    """There is no such package or folder to explore."""


class PackageError(DistillError):
    """The package cannot be fetched."""


class ArchiveError(DistillError):
    """The archive cannot be had, or is not what it should be."""


class Refused(DistillError):
    """The model does not answer this request."""


class Spent(Refused):
    """What the night may take of its teacher is used up: nobody was asked."""


class FormatError(DistillError):
    """The file is in no format that can be read."""
