"""Real files go up, are listed, and come down the very same, under the name they had."""

from __future__ import annotations

import hashlib
import sys

import pytest

from live.client import Client, saved_name
from live.fixtures import IS_FULL
from live.real_files import MIB, Large, RealFile, files
from live.running import LivePortal

#: The large one: more than what any process may take of memory.
LARGE = 2048 * MIB if IS_FULL else 300 * MIB
#: What a transfer of any size may need beside what small ones need.
MEMORY_FOR_LARGE = 64 * MIB


@pytest.fixture(scope="module")
def alice(portal: LivePortal) -> Client:
    return portal.client("alice@example.org", timeout=300)


@pytest.mark.parametrize("file", files(), ids=lambda file: ascii(file.name)[1:25])
def test_a_file_comes_down_as_it_went_up(alice: Client, file: RealFile) -> None:
    made = alice.upload_one(file.name, file)
    sha256 = hashlib.sha256(file.data).hexdigest()
    assert (made["name"], made["size"], made["sha256"]) == (
        file.expected_name,
        file.size,
        sha256,
    )
    assert alice.listed()[made["url"]] == file.expected_name
    headers, size, digest = alice.download(made["download_url"])
    assert (size, digest) == (file.size, sha256)
    assert saved_name(headers["Content-Disposition"]) == file.expected_name
    assert headers["Content-Type"].partition(";")[0] == file.media_type == made["media_type"]
    assert headers["Content-Length"] == str(file.size)


def test_several_files_of_one_form_arrive_each_whole(alice: Client) -> None:
    some = files()[:7]
    answer = alice.upload([(file.name, file) for file in some])
    assert answer.status == 201
    made = answer.json()["documents"]
    assert [each["name"] for each in made] == [file.expected_name for file in some]
    for each, file in zip(made, some, strict=True):
        assert alice.download(each["download_url"])[2] == hashlib.sha256(file.data).hexdigest()


def test_a_name_that_is_too_long_is_refused_with_the_rule(alice: Client) -> None:
    answer = alice.upload([("y" * 256, RealFile("", b"data", ""))])
    assert answer.status == 422
    assert "255" in answer.json()["rejected"][0]["detail"]


def test_a_file_larger_than_memory_is_no_burden(portal: LivePortal, alice: Client) -> None:
    alice.upload_one("warm.bin", Large(8 * MIB))
    large = Large(LARGE)
    portal.forget_memory_peak()
    before = portal.memory_peak()
    made = alice.upload_one("large.bin", large)
    _, size, digest = alice.download(made["download_url"])
    grown = portal.memory_peak() - before
    assert (size, digest) == (LARGE, made["sha256"])
    assert digest == large.sha256()
    sys.stdout.write(f"{LARGE // MIB} MiB up and down: {grown / MIB:.1f} MiB more memory\n")
    assert grown < MEMORY_FOR_LARGE, f"{grown / MIB:.0f} MiB more"
    alice.post_json(f"{made['url']}/delete")
    alice.post_json(f"/trash/{made['url'].rpartition('/')[2]}/purge")
