# SPDX-License-Identifier: GPL-2.0-or-later
"""What `make bench` computes from its samples, without measuring: run by `make t T=tools/bench`."""
import hashlib
import os
import sys
import xml.dom.minidom

import pytest

TOP = os.path.normpath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(TOP, "bench"))
import gendata  # noqa: E402
import plot  # noqa: E402
import report  # noqa: E402
import stats  # noqa: E402
import vm  # noqa: E402


def row(name, group, seconds, checksum="00" * 8, count=1, host=None):
    return vm.Row(name, group, seconds, count, checksum, host)


def results(lodge=2.0, qemu=20.0):
    """Two rounds of one line a group: native takes 1 s, the others so many."""
    res = stats.Results()
    for rnd in (0, 1):
        for who, seconds in (("native", 1.0), ("lodge", lodge), ("qemu", qemu)):
            for name, group in (("gzip", "integer"), ("x87", "fp"), ("copy", "stream"),
                                ("fork-exec", "kernel"), ("two-gzips", "smp")):
                res.add_row(who, rnd, row(name, group, seconds))
            res.add_row(who + "/2", rnd, row("two-gzips", "smp", seconds / 1.9))
            if who != "native":
                res.add(who, "boot", rnd, seconds)
    return res


def goal(res, what, kind):
    return next(g for g in res.goals() if what in g[0] and g[1] == kind)


def test_geomean_when_values_expect_root_of_product():
    assert stats.geomean([2, 8]) == pytest.approx(4)
    assert stats.geomean([]) is None


def test_ratio_when_rounds_differ_expect_medians_compared():
    res = stats.Results()
    for rnd, (native, lodge) in enumerate(((1, 2), (1, 3), (4, 40))):
        res.add_row("native", rnd, row("gzip", "integer", native))
        res.add_row("lodge", rnd, row("gzip", "integer", lodge))
    assert res.ratio("lodge", "native", "gzip") == 3
    assert res.ratio("lodge", "native", "gzip", 2) == 10
    assert res.ratio("qemu", "native", "gzip") is None


def test_row_when_time_is_for_many_operations_expect_one_of_them():
    res = stats.Results()
    res.add_row("lodge", 0, row("getpid", "kernel", 3.0, count=1000))
    assert res.get("lodge", "getpid") == [pytest.approx(0.003)]


def test_row_when_checksums_differ_expect_error():
    res = results()
    assert not res.errors
    res.add_row("lodge", 1, row("gzip", "integer", 1.0, "11" * 8))
    assert len(res.errors) == 1 and "gzip" in res.errors[0] and "lodge" in res.errors[0]


def test_goals_when_ten_times_tcg_expect_reached_where_the_limit_is_lower():
    res = results(lodge=2.0, qemu=20.0)
    value, over, reached = goal(res, "geometric mean", "tcg")[3:]
    assert value == pytest.approx(10) and over == (pytest.approx(10), pytest.approx(10))
    assert reached
    assert goal(res, "FP", "tcg")[5] is False  # 15 wanted
    assert goal(res, "integer", "native")[5] is True  # 2.2 allowed
    assert goal(res, "FP", "native")[5] is False  # 1.4 allowed
    assert goal(res, "two vCPUs", "smp")[3:] == (pytest.approx(1.9), (
        pytest.approx(1.9), pytest.approx(1.9)), True)


def test_goals_when_one_line_is_slow_expect_it_named_and_its_goals_missed():
    res = results()
    for rnd in (0, 1):
        res.add_row("lodge", rnd, row("page-fault", "kernel", 10.0))
        res.add_row("qemu", rnd, row("page-fault", "kernel", 9.0))
    assert res.slowest_line() == "page-fault"
    assert goal(res, "slowest", "tcg")[3] == pytest.approx(0.9)
    assert goal(res, "fork+exec", "tcg")[5] is False


def test_goals_when_a_small_loop_is_slow_expect_it_not_counted():
    res = results()
    before = res.goals()
    for who, seconds in (("native", 1), ("lodge", 100), ("qemu", 1)):
        res.add_row(who, 0, row("fib", "small", seconds))
    assert res.goals() == before


def test_goals_when_qemu_was_not_measured_expect_only_native_ones():
    res = results()
    for who in ("qemu", "qemu/2"):
        del res.samples[who]
    assert {g[1] for g in res.goals()} == {"native", "smp"}


def test_clock_when_guest_runs_slow_expect_it_told():
    res = stats.Results()
    res.add_row("lodge", 0, row("gzip", "integer", 1.0, host=1.01))
    res.add_row("lodge", 0, row("xz", "integer", 1.0, host=1.5))
    assert res.clock_differences("lodge") == [("xz", 1.0, 1.5)]
    assert "xz" in report.clock_note(res, ["lodge"])


def test_save_when_loaded_expect_the_same_document(tmp_path):
    res = results()
    res.save(tmp_path / "r.json")
    again = stats.Results.load(tmp_path / "r.json")
    assert report.document(again, "x.svg") == report.document(res, "x.svg")


LOG = ["Linux version 6", "bench: begin", "bench: run gzip", "bench: done gzip",
       "bench: gzip integer 1500000000 1 0123456789abcdef", "bench: skip avx2-int",
       "bench: run xz", "bench: done xz", "bench: xz integer 15000000"]


def test_parse_when_output_is_cut_expect_whole_lines_only():
    rows, skipped, failed = vm.parse(list(enumerate(LOG)))
    assert rows == [vm.Row("gzip", "integer", 1.5, 1, "0123456789abcdef", 1)]
    assert skipped == ["avx2-int"] and failed is None


def test_parse_when_program_failed_expect_its_message():
    assert vm.parse([(0, "bench: failed: /bin/xz: status 1")])[2] == \
        "bench: failed: /bin/xz: status 1"


def test_vm_when_lines_come_at_times_expect_each_with_its_own():
    machine = vm.Vm(["/bin/sh", "-c", "echo one; sleep 0.3; echo two; printf th; sleep 0.3; echo ree"])
    try:
        machine.wait_for(b"three", 20)
    finally:
        machine.end()
    lines = machine.lines()
    assert [text for _, text in lines] == ["one", "two", "three"]
    assert lines[1][0] - lines[0][0] > 0.2 and lines[2][0] - lines[1][0] > 0.2


def test_document_when_goals_are_missed_expect_it_said():
    text = report.document(results(), "performance.svg")
    assert "**not reached**" in text and "| reached |" in text
    assert "](performance.svg)" in text
    assert "| gzip | 1 s | 1–1 s | 2 s |" in text


def test_document_when_there_were_errors_expect_them_first():
    res = results()
    res.error("lodge, round 1: it ended\nwith a long log")
    text = report.document(res, "x.svg")
    assert text.index("it ended") < text.index("## Goals") and "long log" not in text


def test_chart_when_drawn_expect_valid_svg_with_every_line():
    res = results()
    res.add_row("lodge", 0, row("a<b", "integer", 1.0))
    res.add_row("native", 0, row("a<b", "integer", 1.0))
    doc = xml.dom.minidom.parseString(plot.chart(res))
    texts = [t.firstChild.data for t in doc.getElementsByTagName("text")]
    assert {"gzip", "x87", "copy", "fork-exec", "a<b", "Lodge", "QEMU (TCG)"} <= set(texts)
    assert "two-gzips" not in texts
    assert len(doc.getElementsByTagName("circle")) == 2 + 2 * 4 + 1


def test_axis_when_logarithmic_expect_equal_factors_equally_far():
    axis = plot.Axis(0.9, 70)
    assert (axis.low, axis.high) == (0.5, 100)
    assert axis.at(10) - axis.at(1) == pytest.approx(axis.at(50) - axis.at(5))
    assert axis.at(1000) == axis.at(100)


def test_seconds_when_small_expect_unit_that_fits():
    assert [report.seconds(s) for s in (2, 0.0153, 4.2e-6, 3.1e-8)] == \
        ["2 s", "15.3 ms", "4.2 µs", "31 ns"]
    assert report.spread([0.0012, 0.0034]) == "1.2–3.4 ms"
    assert report.spread([0.9, 1.1]) == "900 ms–1.1 s"


def test_data_when_generated_expect_the_same_bytes_everywhere():
    data = gendata.text(20000) + gendata.lines(500) + gendata.source(5) + gendata.sql(600)
    assert hashlib.sha256(data.encode()).hexdigest() == \
        "5eb289ca5e01e671ddc0efd3acf737c544ea00f25a9de80b7b8385238af0cd33"
