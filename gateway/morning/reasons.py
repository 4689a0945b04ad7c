"""Why conversations are dropped, in the words of docs/filters.md. Owns the words; `distill.filters` owns the codes."""

from __future__ import annotations

WORDS = {
    "reserved": "it is about a repository of the examination",
    "may_not_teach": "a trace in it comes from a key whose requests may not be learnt from",
    "secret": "a secret survived in a message or a tool",
    "incomplete": "the request failed or was broken off by the client",
    "not_traced": "no trace shows who said this",
    "cached": "it was given before, to the same request",
    "not_the_teacher": "the student said it",
    "truncated": "it was cut off by the token limit or a content filter",
    "missing_context": "an import says that the model was told more than the messages say",
    "unanswered_call": "a call has no result, or more than one, or a result has no call",
    "no_final_answer": "the run does not end with an answer in words",
    "invalid_call": "an unknown tool, arguments that are no JSON object, or that do not fit the schema",
    "too_many_calls": "more than `calls_a_turn` calls in one message",
    "call_in_text": "a call is written in the text instead of made",
    "repeated_call": "the same call with the same result was there before in this run",
    "loop": "a call was repeated `repeats` times",
    "edit_elsewhere": "an agent's answer edits a file of the agent's own example or one that was not shown",
    "edit_of_nothing": "an agent's answer puts files' texts in their own place",
    "not_rerun": "a result could not be compared",
    "stale_result": "the snapshot gives another result",
    "tool_error": "a call of this message ended in an error",
    "repaired": "a call that failed was made again, otherwise, within two steps",
    "bad_feedback": "somebody scored an answer of the run below 0, or gave a better one",
    "asked_again": "the user put the question once more, or threw the answer away",
    "not_looked_at": "something is said of code that no result showed",
    "ungrounded_argument": "a call names a path, line or identifier that stood nowhere",
    "ungrounded": "the answer names a path, line or symbol that was not seen",
    "unproven_absence": "the answer denies that something is there, and no search for it came back empty",
    "wrong_answer": "the oracle says so",
    "needless_call": "a question that needs no tool (a sum, general knowledge) was answered with one",
    "disagreed": "fewer than `agreement` of the teacher's other samples do the same",
    "unconfirmed": "neither two samples nor praise",
    "judged_bad": "the judge says so",
    "teacher_no_better": "the teacher was compared with the student and is no better in this category",
    "learnt_before": "another trajectory of the conversation teaches this message",
    "corrected": "the answer stands in place of one that somebody corrected",
}


def in_words(reason: str) -> str:
    """What is wrong, behind its code; a code that nobody knows stays alone."""
    return f"{reason} ({WORDS[reason].replace('`', '')})" if reason in WORDS else reason
