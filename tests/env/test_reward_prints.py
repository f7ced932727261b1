"""What a reward prints is kept up to a rate, counted beyond it, and does not reach the terminal."""

from __future__ import annotations

import sys
import threading

import pytest

from lateapex.env.reward_prints import LINES, STEPS, WIDTH, Prints


def steps(prints: Prints, count: int, lines: int) -> None:
    for step in range(count):
        with prints.step():
            for line in range(lines):
                print(f"step {step} line {line}")


def test_few_lines_are_kept_as_they_are_and_the_terminal_sees_none(capsys: pytest.CaptureFixture[str]) -> None:
    prints = Prints()
    with prints.step():
        print("a", 1, sep="-", end="")
        print("b")
        print("two\nlines", file=sys.stderr)
        sys.stdout.buffer.write(b"bytes\xff\n")
    assert prints.take() == "a-1b\ntwo\nlines\nbytes\ufffd\n"
    assert prints.take() == ""
    assert capsys.readouterr() == ("", "")


def test_a_second_keeps_so_many_lines_and_counts_the_rest() -> None:
    prints = Prints()
    steps(prints, STEPS, 10)
    lines = prints.take().splitlines()
    assert lines[:LINES] == [f"step {n // 10} line {n % 10}" for n in range(LINES)]
    assert lines[LINES:] == [f"... and {10 * STEPS - LINES} lines more"]
    assert prints.left_out == 10 * STEPS - LINES


def test_the_next_second_has_room_again_and_tells_what_the_one_before_left_out() -> None:
    prints = Prints()
    steps(prints, STEPS + 1, 10)
    lines = prints.take().splitlines()
    assert lines[LINES] == f"... and {10 * STEPS - LINES} lines more"
    assert lines[LINES + 1 :] == [f"step {STEPS} line {n}" for n in range(10)]


def test_one_call_that_prints_without_end_takes_no_more_room_than_any(capsys: pytest.CaptureFixture[str]) -> None:
    prints = Prints()
    with prints.step():
        print("x\n" * 100_000, end="")
        for _ in range(1000):
            print("y" * 1000, end="")
    text = prints.take()
    assert len(text) < 200
    assert "... and 99970 lines more" in text


def test_a_line_without_end_is_cut() -> None:
    prints = Prints()
    with prints.step():
        for _ in range(1000):
            print("y" * 10, end="")
        print()
    assert prints.take() == "y" * WIDTH + "\n"


def test_what_another_thread_prints_meanwhile_goes_where_it_went(capsys: pytest.CaptureFixture[str]) -> None:
    prints = Prints()
    with prints.step():
        other = threading.Thread(target=lambda: print("from beside"))
        other.start()
        other.join()
    assert prints.take() == ""
    assert capsys.readouterr().out == "from beside\n"


def test_the_streams_are_given_back_whatever_happens() -> None:
    before = sys.stdout, sys.stderr
    prints = Prints()

    def spoil() -> None:
        with prints.step():
            sys.stdout = None
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        spoil()
    assert (sys.stdout, sys.stderr) == before


def test_what_another_process_caught_counts_as_if_it_were_caught_here() -> None:
    here, there, whole = Prints(), Prints(), Prints()
    for step in range(2 * STEPS + 3):
        here.tick()
        for prints in (there, whole):
            with prints.step():
                for line in range(7):
                    print(step, line)
        here.add_counted(*there.fetch())
    assert here.take() == whole.take()
    assert here.left_out == whole.left_out > 0
