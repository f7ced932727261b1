"""What a machine calls itself."""

from __future__ import annotations

import platform

from lateapex.jobs.machine import processor_name


def test_the_first_processor_gives_its_name(tmp_path):
    core = "processor\t: {}\nvendor_id\t: X\nmodel name\t: X 9000: fast\nmodel\t\t: 7\n"
    (tmp_path / "cpuinfo").write_text(core.format(0) + core.format(1))
    assert processor_name(tmp_path) == "X 9000: fast"


def test_where_the_kernel_names_none_it_is_the_architecture(tmp_path):
    expected = platform.processor() or platform.machine()
    assert processor_name(tmp_path) == expected
    (tmp_path / "cpuinfo").write_text("processor\t: 0\n")
    assert processor_name(tmp_path) == expected
