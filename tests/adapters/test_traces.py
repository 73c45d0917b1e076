"""Traces and datasets of every form become columns; mistakes are reported at their lines."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from enova.adapters.traces import read_recording
from enova.core.workload.recording import Recording
from enova.errors import RecordingError


@pytest.fixture
def shared() -> Path:
    folder = Path(os.environ.get("ENOVA_SHARED", Path(__file__).parents[3] / "shared"))
    assert folder.is_dir(), f"{folder} is missing: set ENOVA_SHARED"
    return folder


def read(folder: Path, name: str, text: str) -> Recording:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read_recording(str(path))


def said(folder: Path, name: str, text: str) -> list[str]:
    with pytest.raises(RecordingError) as raised:
        read(folder, name, text)
    return [str(problem).removeprefix(f"{folder}/") for problem in raised.value.problems]


def columns(recording: Recording) -> list[list[float] | None]:
    found = (recording.at_s, recording.prompt_tokens, recording.output_tokens)
    return [None if column is None else column.tolist() for column in found]


def test_our_own_form_is_csv_or_json_lines(tmp_path: Path) -> None:
    as_csv = read(tmp_path, "a.csv", "timestamp,prompt_tokens,output_tokens\n5.5,10,1\n7,20,2\n")
    as_json = read(
        tmp_path,
        "a.jsonl",
        '{"timestamp": 5.5, "prompt_tokens": 10, "output_tokens": 1}\n\n'
        '{"timestamp": 7, "prompt_tokens": 20, "output_tokens": 2}',
    )

    assert columns(as_csv) == columns(as_json) == [[0.0, 1.5], [10, 20], [1, 2]]


def test_dates_are_times_and_rows_are_put_in_order(tmp_path: Path) -> None:
    text = "timestamp,output_tokens\n2026-01-31 12:00:10.5,2\n2026-01-31 12:00:00,1\n2026-01-31T13:00:05+01:00,3\n"

    assert columns(read(tmp_path, "a.csv", text)) == [[0.0, 5.0, 10.5], None, [1, 3, 2]]


def test_azures_traces_are_read(shared: Path) -> None:
    found = read_recording(str(shared / "data/traces/AzureLLMInferenceTrace_code.csv"))

    assert len(found) == 8819
    assert found.at_s is not None
    assert found.prompt_tokens is not None
    assert found.output_tokens is not None
    assert found.at_s[:2].tolist() == pytest.approx([0, 0.052])
    assert (found.prompt_tokens[0], found.output_tokens[0]) == (4808, 10)


def test_mooncakes_traces_count_milliseconds(shared: Path) -> None:
    found = read_recording(str(shared / "data/traces/mooncake_conversation.jsonl"))

    assert len(found) == 12031
    assert found.at_s is not None
    assert found.at_s[-1] == pytest.approx(3536.999)


def test_mooncakes_traces_tell_what_prompts_share(shared: Path) -> None:
    found = read_recording(str(shared / "data/traces/mooncake_conversation.jsonl"))

    assert found.prefixes is not None
    assert found.prompt_tokens is not None
    chains, tokens = found.prefixes
    assert (tokens <= found.prompt_tokens).all()
    resident: dict[int, int] = {}
    hits = 0
    for chain, length in zip(chains.tolist(), tokens.tolist(), strict=True):
        hits += min(resident.get(chain, 0), length)
        resident[chain] = max(resident.get(chain, 0), length)
    # A cache without limits that knows every block finds 37.3 % of all tokens.
    assert hits / found.prompt_tokens.sum() == pytest.approx(0.362, abs=0.001)


def test_blocks_must_be_numbers(tmp_path: Path) -> None:
    rows = [{"input_length": 600, "hash_ids": blocks} for blocks in ([1, 2], "1", None)]
    text = "\n".join(json.dumps(row) for row in rows)

    assert said(tmp_path, "a.jsonl", text) == [
        "a.jsonl:2:0: hash_ids: must be a list of numbers",
        "a.jsonl:3:0: hash_ids: must be a list of numbers",
    ]


def test_tables_of_lengths_are_datasets(shared: Path) -> None:
    for name in ("mlperf/llama2-70b-99.csv", "sharegpt_8k_filtered_stats_llama2_tokenizer.csv"):
        found = read_recording(str(shared / "data/lengths" / name))

        assert found.at_s is None
        assert found.prompt_tokens is not None
        assert found.output_tokens is not None


def test_prompts_without_a_count_are_estimated_and_it_says_so(tmp_path: Path) -> None:
    estimated = read(
        tmp_path, "d.jsonl", '{"prompt": "12345678", "output_tokens": 3}\n{"prompt": "", "output_tokens": 1}\n'
    )
    counted = read(tmp_path, "d.jsonl", '{"prompt": "12345678", "prompt_tokens": 5}\n')

    assert columns(estimated) == [None, [2, 1], [3, 1]]
    assert columns(counted) == [None, [5], None]
    assert (estimated.estimated, counted.estimated) == (True, False)


def test_every_mistake_is_reported_at_its_line(tmp_path: Path) -> None:
    text = "timestamp,prompt_tokens,output_tokens\n1,10,0\nsoon,10.5,5\n3,x,5\n4,10\n,10,5\nnan,1,1\n"

    assert said(tmp_path, "a.csv", text) == [
        "a.csv:2:0: output_tokens: '0' is not a number of tokens: a whole one of at least 1",
        "a.csv:3:0: prompt_tokens: '10.5' is not a number of tokens: a whole one of at least 1",
        "a.csv:3:0: timestamp: 'soon' is neither seconds nor a date such as 2026-01-31 12:00:00",
        "a.csv:4:0: prompt_tokens: 'x' is not a number of tokens",
        "a.csv:5:0: has 2 columns where the first line names 3",
        "a.csv:6:0: timestamp: '' is neither seconds nor a date such as 2026-01-31 12:00:00",
        "a.csv:7:0: timestamp: 'nan' is not a time",
    ]


def test_json_lines_must_be_mappings_that_all_have_the_columns(tmp_path: Path) -> None:
    lines = ['{"prompt_tokens": 1}', "[1]", '{"prompt_tokens": ', '{"other": 1}', '{"prompt_tokens": true}']
    text = "\n".join([*lines, '{"prompt_tokens": "1"}\n'])

    assert [line.split(" (")[0] for line in said(tmp_path, "a.jsonl", text)] == [
        "a.jsonl:2:0: must be a mapping, one request a line",
        "a.jsonl:3:0: is not JSON: Expecting value: line 2 column 1",
        "a.jsonl:4:0: prompt_tokens: nothing is not a number of tokens",
        "a.jsonl:5:0: prompt_tokens: True is not a number of tokens: a whole one of at least 1",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a.csv:0:0: holds no requests"),
        ("timestamp,prompt_tokens\n", "a.csv:0:0: holds no requests"),
        (
            "when,what\n1,2\n",
            (
                "a.csv:2:0: has none of the columns timestamp, prompt_tokens, output_tokens (hint: it has when, "
                "what; prompts as text may be in prompt, conversations, messages, question, instruction or text)"
            ),
        ),
    ],
)
def test_a_file_without_requests_is_refused(tmp_path: Path, text: str, words: str) -> None:
    assert said(tmp_path, "a.csv", text) == [words]


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_bytes(b"timestamp\n\xff\xfe\n")
    for name, words in (("missing.csv", "cannot be read: No such file or directory"), ("b.csv", "is not UTF-8")):
        with pytest.raises(RecordingError, match=words):
            read_recording(str(tmp_path / name))


def test_a_thousand_mistakes_are_not_all_listed(tmp_path: Path) -> None:
    assert len(said(tmp_path, "a.csv", "prompt_tokens\n" + "x\n" * 1000)) == 100


def test_texts_are_kept_where_they_are_asked_for_in_the_order_of_rows(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text('{"timestamp": 2, "prompt": "late"}\n{"timestamp": 1, "prompt": "early one"}\n')

    assert read_recording(str(path)).texts is None
    found = read_recording(str(path), texts=True)
    assert (found.texts, columns(found)) == (("early one", "late"), [[0, 1], [3, 1], None])


def test_burstgpts_traces_leave_failures_out(tmp_path: Path) -> None:
    text = (
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
        "5,ChatGPT,472,18,490,Conversation log\n45,ChatGPT,1087,0,1087,API log\n118,GPT-4,417,276,693,API log\n"
    )

    assert columns(read(tmp_path, "b.csv", text)) == [[0, 113], [472, 417], [18, 276]]
    assert said(tmp_path, "b.csv", text.replace("472", "x").replace("276", "-")) == [
        "b.csv:2:0: request tokens: 'x' is not a number of tokens",
        "b.csv:4:0: response tokens: '-' is not a number of tokens",
    ]
    assert said(tmp_path, "b.csv", "\n".join(text.splitlines()[:1] + text.splitlines()[2:3])) == [
        "b.csv:0:0: holds no requests"
    ]


def talk(*turns: tuple[str, str]) -> dict[str, object]:
    return {"id": "x", "conversations": [{"from": who, "value": what} for who, what in turns]}


def test_sharegpt_conversations_are_their_first_question_and_answer(tmp_path: Path) -> None:
    talks = [
        talk(("system", "be"), ("human", "12345678"), ("gpt", "123456789"), ("human", "no"), ("gpt", "no")),
        talk(("gpt", "unasked"), ("human", "unanswered")),
        talk(),
        talk(("gpt", "unasked"), ("human", "four"), ("gpt", "four")),
    ]
    for name, text in (("a.json", json.dumps(talks, indent=1)), ("a.jsonl", "\n".join(map(json.dumps, talks)))):
        found = read(tmp_path, name, text)
        assert columns(found) == [None, [2, 1], [3, 1]]
        assert found.estimated
    assert read_recording(str(tmp_path / "a.json"), texts=True).texts == ("12345678", "four")


def test_what_is_no_conversation_is_said_once(tmp_path: Path) -> None:
    rows = [
        talk(("human", "a"), ("gpt", "b")),
        {"conversations": [{"from": "human"}]},
        {"conversations": 5},
        {},
        7,
    ]

    assert said(tmp_path, "a.json", "[\n" + ",\n".join(map(json.dumps, rows)) + "\n]") == [
        "a.json:3:0: conversations: must be a list of turns, each with from and value",
        "a.json:4:0: conversations: must be a list of turns, each with from and value",
        "a.json:5:0: conversations: must be a list of turns, each with from and value",
        "a.json:6:0: must be a mapping, as each entry of the list",
    ]


def test_our_own_form_may_be_one_json_array(tmp_path: Path) -> None:
    assert columns(read(tmp_path, "a.json", '[{"prompt_tokens": 1},\n {"prompt_tokens": 2}]')) == [
        None,
        [1, 2],
        None,
    ]
    assert said(tmp_path, "a.json", '[\n{"prompt_tokens": 1}\n{') == [
        "a.json:3:0: is not JSON: expecting , or ] after an entry of the list"
    ]
    assert said(tmp_path, "a.json", '[{"prompt_tokens": 1},\n\n{"prompt_tokens": }]') == [
        "a.json:3:0: is not JSON: Expecting value"
    ]
    assert said(tmp_path, "a.json", "[ ]") == ["a.json:0:0: holds no requests"]


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"question": "Why?", "answer": "So."}, "Why?"),
        ({"question": "Why?", "A": "x", "B": 2, "C": "y", "D": "z"}, "Why?\nA. x\nB. 2\nC. y\nD. z"),
        ({"instruction": "Sum", "input": "1 2", "output": "3"}, "Sum\n\n1 2"),
        ({"instruction": "Sing", "input": ""}, "Sing"),
        ({"text": "once"}, "once"),
        (
            {
                "messages": [
                    {"role": role, "content": role + "!"} for role in ("system", "user", "assistant", "user")
                ]
            },
            "user!\n\nuser!",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "see"}]}]}, "see"),
    ],
)
def test_evaluation_sets_are_datasets(tmp_path: Path, row: dict[str, object], text: str) -> None:
    path = tmp_path / "e.jsonl"
    path.write_text(json.dumps(row))
    found = read_recording(str(path), texts=True)

    assert (found.texts, columns(found)) == ((text,), [None, [-(-len(text) // 4)], None])
    assert found.estimated


def test_mmlus_csv_has_its_options_one_a_line(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("question,A,B,C,D,answer\nTwo?,1,2,3,4,B\n")

    assert read_recording(str(path), texts=True).texts == ("Two?\nA. 1\nB. 2\nC. 3\nD. 4",)


def test_messages_without_a_user_are_refused(tmp_path: Path) -> None:
    assert said(tmp_path, "m.jsonl", '{"messages": [{"role": "system", "content": "be"}]}\n{"messages": [1]}') == [
        "m.jsonl:1:0: messages: has no turn of a user",
        "m.jsonl:2:0: messages: must be a list of turns, each with role and content",
    ]
