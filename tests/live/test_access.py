"""Who may do what: no secret on the disk, no right that outlives its end."""

import hashlib
import itertools
import sqlite3
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aadc.live.access import IDLE_S, LONGEST_S, Access, Role, TooManyError, Use, csrf_token
from aadc.live.limits import Attempts
from aadc.manifests.errors import UserError

PASSWORD = "correct horse battery"


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def access(tmp_path: Path, clock: Clock, monkeypatch):
    monkeypatch.setattr("aadc.live.passwords._COST", 2**10)  # the rule is the same, the tests are not about its price
    monkeypatch.setattr("aadc.live.access.NOBODY", f"{2**10}$8$1${'0' * 32}${'0' * 64}")
    opened = Access(tmp_path / "access.sqlite", clock)
    yield opened
    opened.close()


def logged_in(access: Access, name: str = "ann", role: Role = Role.VIEWER, cameras=None) -> str:
    access.add_user(name, role, PASSWORD, cameras)
    secret = access.log_in(name, PASSWORD, "10.0.0.1", "Firefox")
    assert secret
    return secret


def test_the_first_password_is_made_once_and_lets_in(access: Access, tmp_path: Path):
    password = access.first_password()
    assert password and len(password) >= 16
    assert access.first_password() is None
    assert access.session(access.log_in("admin", password, "::1")).user.role is Role.ADMINISTRATOR
    again = Access(tmp_path / "access.sqlite")
    assert again.first_password() is None
    again.close()


def test_two_servers_that_start_at_once_make_one_administrator(tmp_path: Path):
    opened = [Access(tmp_path / "access.sqlite") for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        passwords = [one for one in pool.map(lambda access: access.first_password(), opened) if one]
    assert len(passwords) == 1
    assert opened[0].log_in("admin", passwords[0], "::1")
    for one in opened:
        one.close()


def test_the_file_is_its_owners_alone_and_holds_no_secret(access: Access, tmp_path: Path):
    session = logged_in(access, "ann")
    token = access.add_token(Use.PUBLISH, "door", "phone", "ann")[1]
    admin = access.first_password()  # somebody is there: none is made
    assert admin is None
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for secret in (PASSWORD, session, token, csrf_token(session)):
        assert secret.encode() not in stored
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path.name


def test_what_is_stored_is_scrypt(access: Access, tmp_path: Path):
    access.add_user("ann", Role.VIEWER, PASSWORD)
    with sqlite3.connect(tmp_path / "access.sqlite") as db:
        ((stored,),) = db.execute("SELECT password FROM users")
    cost, block, lanes, salt, derived = stored.split("$")
    again = hashlib.scrypt(PASSWORD.encode(), salt=bytes.fromhex(salt), n=int(cost), r=int(block), p=int(lanes), dklen=32)
    assert again.hex() == derived


def test_an_unused_and_an_old_session_are_over(access: Access, clock: Clock):
    secret = logged_in(access)
    clock.now += IDLE_S - 1
    assert access.session(secret)
    clock.now += IDLE_S + 1
    assert access.session(secret) is None and access.sessions() == []
    secret = access.log_in("ann", PASSWORD, "10.0.0.1")
    for _ in range(int(LONGEST_S // (IDLE_S / 2))):
        clock.now += IDLE_S / 2
        assert access.session(secret)
    clock.now += IDLE_S / 2
    assert access.session(secret) is None


def test_rights_change_at_once_and_a_new_password_ends_sessions(access: Access):
    secret = logged_in(access, "ann", Role.REVIEWER)
    access.add_user("root", Role.ADMINISTRATOR, PASSWORD)
    access.change_user("ann", Role.VIEWER, ["door"])
    user = access.session(secret).user
    assert (user.role, user.cameras) == (Role.VIEWER, {"door"})
    assert user.sees("door") and not user.sees("yard")
    access.change_user("ann", password="another password")
    assert access.session(secret) is None
    assert access.log_in("ann", PASSWORD, "10.0.0.1") is None
    secret = access.log_in("ann", "another password", "10.0.0.1")
    access.remove_user("ann")
    assert access.session(secret) is None and access.log_in("ann", "another password", "10.0.0.1") is None


def test_a_session_is_ended_by_its_number(access: Access):
    first = logged_in(access)
    second = access.log_in("ann", PASSWORD, "10.0.0.2")
    number = access.session(first).id
    assert access.still_holds(session=number)
    assert access.end_session(number) and not access.end_session(number)
    assert access.session(first) is None and access.still_holds(session=number) is None
    assert access.session(second)


def test_somebody_can_always_let_people_in(access: Access):
    access.first_password()
    for change in (lambda: access.remove_user("admin"), lambda: access.change_user("admin", Role.VIEWER, None)):
        with pytest.raises(UserError, match="only administrator"):
            change()
    access.add_user("ann", Role.ADMINISTRATOR, PASSWORD)
    access.remove_user("admin")
    assert [user.name for user in access.users()] == ["ann"]


@pytest.mark.parametrize("name", ["", " ", "a b", "../x", "a" * 65, "\x1b[2J", "<script>", "é", "ann\n"])
def test_a_users_name_is_plain(access: Access, name: str):
    with pytest.raises(UserError):
        access.add_user(name, Role.VIEWER, PASSWORD)
    assert access.users() == []


@pytest.mark.parametrize("password", ["", "short", "x" * 201])
def test_a_password_has_a_length(access: Access, password: str):
    with pytest.raises(UserError, match="characters"):
        access.add_user("ann", Role.VIEWER, password)


@pytest.mark.parametrize(
    "name,password",
    [("ann", ""), ("nobody", PASSWORD), ("ann", PASSWORD + "x"), ("", ""), ("' OR 1=1 --", "x"), ("ann\ud800", "\udc80")],
)
def test_what_is_wrong_lets_nobody_in(access: Access, name: str, password: str):
    access.add_user("ann", Role.VIEWER, PASSWORD)
    assert access.log_in(name, password, "10.0.0.1") is None
    assert access.sessions() == []


def test_an_address_may_err_five_times_in_five_minutes(access: Access, clock: Clock):
    access.add_user("ann", Role.VIEWER, PASSWORD)
    for _ in range(5):
        assert access.log_in("ann", "wrong", "2001:db8::1") is None
    with pytest.raises(TooManyError) as refused:
        access.log_in("ann", PASSWORD, "2001:db8::2")  # the same network
    assert 0 < refused.value.wait_s <= 300
    assert access.log_in("ann", PASSWORD, "2001:db8:0:1::1")  # another
    clock.now += refused.value.wait_s + 1
    assert access.log_in("ann", PASSWORD, "2001:db8::1")


def test_a_hundred_tries_at_once_are_a_hundred(access: Access):
    access.add_user("ann", Role.VIEWER, PASSWORD)
    at_once = threading.Barrier(20)
    answers = []

    def guess() -> None:
        at_once.wait()
        try:
            answers.append(access.log_in("ann", "wrong", "10.0.0.9"))
        except TooManyError:
            answers.append("refused")

    threads = [threading.Thread(target=guess) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers.count(None) == 5 and answers.count("refused") == 15


def test_many_addresses_cannot_guess_one_name(access: Access):
    access.add_user("ann", Role.VIEWER, PASSWORD)
    for number in range(50):
        access.log_in("ann", "wrong", f"10.1.{number}.1")
    with pytest.raises(TooManyError):
        access.log_in("ann", "wrong", "10.2.0.1")


def test_ones_own_login_gives_no_tries_for_another_name(access: Access):
    access.add_user("ann", Role.VIEWER, PASSWORD)
    access.add_user("root", Role.ADMINISTRATOR, PASSWORD)
    with pytest.raises(TooManyError):
        for _ in range(6):
            access.log_in("root", "wrong", "10.0.0.1")
            access.log_in("ann", PASSWORD, "10.0.0.1")


def test_addresses_of_ipv4_written_as_ipv6_are_counted_each(access: Access):
    """As a server sees them that listens on `::`: five who err must not shut out everybody."""
    for _ in range(5):
        assert access.log_in("nobody", "wrong", "::ffff:10.0.0.9") is None
    for same in ("::ffff:10.0.0.9", "::FFFF:a00:9", "10.0.0.9"):
        with pytest.raises(TooManyError):
            access.log_in("nobody", "wrong", same)
    assert access.log_in("nobody", "wrong", "::ffff:10.0.0.10") is None
    assert access.log_in("nobody", "wrong", "::1") is None


def test_who_may_look_looks_while_the_disk_is_full(access: Access, clock: Clock):
    """When a session was used last is not worth more than that."""
    secret, token = logged_in(access), access.add_token(Use.WATCH, "door", "", "admin")[1]
    clock.now += 120
    access._db.execute("PRAGMA query_only = ON")  # SQLite refuses each write
    assert access.session(secret).user.name == "ann" and access.token(token).camera == "door"
    access._db.execute("PRAGMA query_only = OFF")
    assert access.session(secret).seen_s < clock.now and access.session(secret).seen_s == clock.now


def test_counting_tries_takes_bounded_memory():
    attempts = Attempts(3, 10.0)
    for number in range(Attempts.KEYS + 500):
        attempts.take(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 1.0)
    assert len(attempts._times) == Attempts.KEYS


def test_a_token_is_for_one_camera_and_can_be_taken_back(access: Access):
    number, secret = access.add_token(Use.PUBLISH, "door", "phone\x1b", "admin")
    token = access.token(secret)
    assert (token.id, token.use, token.camera, token.made_by) == (number, Use.PUBLISH, "door", "admin")
    assert access.token(secret + "x") is None and access.token("") is None
    assert access.still_holds(token=number)
    assert access.revoke_token(number) and not access.revoke_token(number)
    assert access.token(secret) is None and access.still_holds(token=number) is None and access.tokens() == []


def test_numbers_are_not_given_twice(access: Access):
    """A connection remembers the number of its session or token; another's must never get it."""
    first, _ = access.add_token(Use.WATCH, "door", "", "admin")
    access.revoke_token(first)
    assert access.add_token(Use.WATCH, "yard", "", "admin")[0] != first
    secret = logged_in(access)
    number = access.session(secret).id
    access.end_session(number)
    assert access.session(access.log_in("ann", PASSWORD, "::1")).id != number


def test_the_log_says_who_when_and_what_and_keeps_no_mistyped_password(access: Access, clock: Clock):
    logged_in(access)
    clock.now += 1
    access.log_in(PASSWORD, "ann", "10.0.0.1")  # typed in the wrong field
    access.note("ann", "10.0.0.1", "play", "door", "event 7")
    newest = access.log(limit=10)
    assert [(entry.who, entry.what, entry.camera, entry.subject) for entry in newest] == [
        ("ann", "play", "door", "event 7"),
        ("(no user's name)", "login refused", "", ""),
        ("ann", "login", "", ""),
    ]
    assert newest[0].utc_ns == int(clock.now * 1e9)
    assert [entry.id for entry in access.log(before=newest[1].id)] == [newest[2].id]
    clock.now += 86400 * 10
    access.note("ann", "10.0.0.1", "play")
    assert access.forget_log(5) == 3 and len(access.log()) == 1


def test_a_file_that_is_none_is_one_sentence(tmp_path: Path):
    path = tmp_path / "access.sqlite"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(UserError, match="no list of users"):
        Access(path)
    path.unlink()
    Access(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(UserError, match="newer"):
        Access(path)
    with pytest.raises(UserError, match="cannot be opened"):
        Access(tmp_path / "none" / "access.sqlite")


def test_a_version_that_never_was_is_no_list_of_users(tmp_path: Path):
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = -3")
    with pytest.raises(UserError, match="no list of users"):
        Access(path)


def test_damage_within_and_another_program_s_database_are_one_sentence_at_the_start(tmp_path: Path):
    """A page of nothing was a traceback in the first question about users; another program's tables got ours beside them."""
    path = tmp_path / "access.sqlite"
    Access(path).close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + bytes(len(whole) - 4096))
    with pytest.raises(UserError, match=r"no list of users \(.*malformed.*\); move it away"):
        Access(path)
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE recipes (cake)")
    with pytest.raises(UserError, match="no list of users .it is another program's database"):
        Access(path)
    assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("recipes",)]
    db.close()


def test_roles_are_ordered():
    order = [Role.VIEWER, Role.REVIEWER, Role.ADMINISTRATOR]
    for (a, has), (b, needs) in itertools.product(enumerate(order), repeat=2):
        assert has.covers(needs) == (a >= b)


def test_a_pages_token_is_its_sessions():
    assert csrf_token("one") == csrf_token("one") != csrf_token("other")
