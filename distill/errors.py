"""The errors of this package, one tree. A class's docstring is its default message.

DistillError
├── BlasTooLate      (distill.mlx.blas)
├── ModelError       a model folder is missing, damaged or not what it says
├── AdapterError     an adapter does not fit its base or is damaged
├── DatasetError     there is nothing to learn from, or a dataset folder is damaged
├── ToolError        a tool call is not allowed or makes no sense
├── QuestionError    the question templates or the vocabularies are damaged
├── FormatError      a file of traces is in no format that is known
├── RepositoryError  there is no such package or folder to explore
└── Refused          a model does not answer this very request, whoever asks again
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


class ToolError(DistillError):
    """The tool call is not allowed or makes no sense; the message goes to the model."""


class QuestionError(DistillError):
    """The question templates or the vocabularies are damaged."""


class RepositoryError(DistillError):
    """There is no such package or folder to explore."""


class Refused(DistillError):
    """The model does not answer this request."""


class FormatError(DistillError):
    """The file is in no format that can be read."""
