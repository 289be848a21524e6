"""What the check of licences says of packages that may not be shipped."""

import pytest

from dev.licences import check

HASH = "    --hash=sha256:0000"


@pytest.fixture
def said_of(tmp_path):
    """Install a package with these lines of metadata and return what is said of it."""

    def said_of(*metadata, lock="thing==1.2"):
        folder = tmp_path / "thing-1.2.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("\n".join(["Metadata-Version: 2.4", "Name: thing", "Version: 1.2", *metadata]))
        (tmp_path / "lock.txt").write_text(f"# by hand\n{lock} \\\n{HASH}\n    # via nothing\n")
        return list(check(tmp_path / "lock.txt", [str(tmp_path)]))

    return said_of


GPL = "License :: OSI Approved :: GNU General Public License v3 (GPLv3)"


@pytest.mark.parametrize(
    "metadata",
    [
        ["License-Expression: GPL-3.0-or-later"],
        ["License-Expression: AGPL-3.0-only AND MIT"],
        ["License-Expression: GPL-2.0-only OR AGPL-3.0-only"],
        ["License: GPLv3"],
        ["License: GNU GENERAL PUBLIC LICENSE Version 3"],
        ["License: GPL version 2 or later"],
        [f"Classifier: {GPL}"],
        ["License: see file", "Classifier: License :: OSI Approved :: GNU Affero General Public License v3"],
    ],
    ids=" ".join,
)
def test_a_package_under_gpl_or_agpl_is_named_with_its_licence_and_what_to_do(said_of, metadata):
    (said,) = said_of(*metadata)
    assert said.startswith("thing 1.2: its licence is ")
    assert any(licence in said for licence in ("GPL", "GNU"))
    assert "requirements.in" in said


@pytest.mark.parametrize(
    "metadata",
    [
        ["License-Expression: MIT"],
        ["License-Expression: LGPL-3.0-only"],
        ["License-Expression: GPL-2.0-only OR MIT"],
        ["License: BSD 3-Clause", "Classifier: License :: OSI Approved :: BSD License"],
        ["Classifier: License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)"],
    ],
    ids=" ".join,
)
def test_other_licences_and_lgpl_may_be_shipped(said_of, metadata):
    assert said_of(*metadata) == []


@pytest.mark.parametrize("metadata", [[], ["License: UNKNOWN"]], ids=str)
def test_a_package_that_names_no_licence_is_told_of(said_of, metadata):
    (said,) = said_of(*metadata)
    assert "names no licence" in said


def test_a_package_that_is_not_installed_is_told_of_unless_it_is_for_another_machine(said_of):
    (said,) = said_of("License: MIT", lock="other==1.0")
    assert said.startswith("other: it is not installed")


def test_a_package_for_another_machine_is_passed_over(said_of):
    assert said_of("License: MIT", lock="other==1.0 ; sys_platform == 'win32'") == []


def test_all_of_the_run_time_lock_may_be_shipped():
    from dev import licences

    assert licences.main() == 0
