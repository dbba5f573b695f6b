"""Where an archive is and how to log in: nothing secret on a command line, nothing in the clear, nothing open."""

from __future__ import annotations

import pytest

from fedpsma.errors import InputError
from fedpsma.io.dicomweb.settings import PASSWORD_VARIABLE, TOKEN_VARIABLE, USER_VARIABLE, read_settings, safe_url

SECRET = "hunter2-of-the-test"


@pytest.fixture(autouse=True)
def no_login(monkeypatch):
    for name in (USER_VARIABLE, PASSWORD_VARIABLE, TOKEN_VARIABLE):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def config(tmp_path):
    (tmp_path / "secret.toml").write_text(f'user = "reader"\npassword = "{SECRET}"\n')
    (tmp_path / "secret.toml").chmod(0o600)
    path = tmp_path / "pacs.toml"
    path.write_text('url = "https://pacs.example.org/dicom-web/"\ncredentials = "secret.toml"\ntimeout_s = 7\n')
    return path


@pytest.mark.parametrize(
    "url",
    [
        "https://pacs.example.org/dicom-web",
        "http://127.0.0.1:8042/dicom-web",
        "http://localhost:8042",
        "http://[::1]:8042/x",
    ],
)
def test_safe_addresses(url):
    assert safe_url(url, "--url") == url


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://pacs.example.org/dicom-web", "unencrypted"),
        ("http://localhost.example.org/x", "unencrypted"),
        ("http://192.168.1.5:8042/dicom-web", "unencrypted"),
        (f"https://reader:{SECRET}@pacs.example.org/x", "holds a login"),
        ("pacs.example.org", "no address"),
        ("ftp://pacs.example.org/x", "no address"),
        ("https://pacs.example.org/x?patient=1", "no address"),
        ("https://[broken/x", "no address"),
        ("https://pacs.example.org:port/x", "no address"),
    ],
)
def test_addresses_that_are_refused(url, reason):
    with pytest.raises(InputError, match=reason) as refused:
        safe_url(url, "--url")
    assert SECRET not in str(refused.value)


def test_a_file_names_address_login_and_patience(config):
    found = read_settings(None, config)
    assert (found.url, found.timeout_s) == ("https://pacs.example.org/dicom-web", 7)
    assert (found.login.user, found.login.password) == ("reader", SECRET)
    assert SECRET not in repr(found)


def test_the_environment_and_the_command_line_outrank_the_file(config, monkeypatch):
    monkeypatch.setenv(TOKEN_VARIABLE, "tok")
    found = read_settings("https://other.example.org", config)
    assert (found.url, found.login.token, found.login.password) == ("https://other.example.org", "tok", None)


def test_secrets_that_others_can_read_are_refused(config):
    (config.parent / "secret.toml").chmod(0o640)
    with pytest.raises(InputError, match="can be read by others"):
        read_settings(None, config)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("pacs.toml", "url = ", "is not TOML"),
        ("pacs.toml", 'url = "https://x.example.org"\npassword = "p"', "password"),
        ("pacs.toml", 'url = "https://x.example.org"\nca_file = "none.pem"', "does not exist"),
        ("secret.toml", f"password = {SECRET}", "is not TOML"),
        ("secret.toml", 'user = "reader"', "holds no login"),
    ],
)
def test_broken_files_are_one_line_without_the_secret(config, name, content, reason):
    (config.parent / name).write_text(content)
    with pytest.raises(InputError, match=reason) as refused:
        read_settings(None, config)
    assert SECRET not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_no_archive_named_is_refused():
    with pytest.raises(InputError, match="no archive is named"):
        read_settings(None, None)
