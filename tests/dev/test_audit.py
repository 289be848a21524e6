"""What is made of pip-audit's answer; the answers are what 2.10.1 gives."""

import json

from dev.audit import verdict


def answer(*packages):
    return json.dumps({"dependencies": list(packages), "fixes": []})


CLEAN = {"name": "vine", "version": "5.1.0", "vulns": []}
UNKNOWN = {"name": "tzlocal", "skip_reason": "Dependency not found on PyPI and could not be audited: tzlocal (5.4.5)"}
BAD = {"name": "jinja2", "version": "3.1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3.1.6"], "aliases": []}]}


def test_a_vulnerable_package_fails_with_its_advisory_and_what_to_do():
    code, said = verdict(answer(CLEAN, BAD), "Found 1 known vulnerability in 1 package")
    assert code == 1
    assert said == "jinja2 3.1.0: PYSEC-1, mended in 3.1.6. `make lock` takes the newest."


def test_no_vulnerability_is_no_failure():
    assert verdict(answer(CLEAN), "") == (0, "No known vulnerabilities in 1 packages")


def test_a_database_that_can_not_be_reached_is_told_and_fails_nothing():
    code, said = verdict("", "Traceback …\nrequests.exceptions.ConnectionError: Failed to resolve 'api.osv.dev'")
    assert code == 0
    assert said.startswith("NOT RUN: ")
    assert "Failed to resolve 'api.osv.dev'" in said


def test_a_database_that_knows_none_of_the_packages_is_no_audit():
    code, said = verdict(answer(UNKNOWN), "")
    assert code == 0
    assert said.startswith("NOT RUN: ")


def test_packages_that_are_not_in_the_database_are_named():
    code, said = verdict(answer(CLEAN, UNKNOWN), "")
    assert code == 0
    assert said == "NOT RUN: audit of tzlocal: not in the database of advisories"
