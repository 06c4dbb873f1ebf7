"""
The daily login: begun by one person, brought back by the same one, once, and kept only for the armed account.

Zerodha is the paper server: whoever presses its only button is PAPER1.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from orders import daily_login
from orders.broker.kite import KiteGateway
from orders.broker.kite_rows import IST
from orders.broker.sessions import TokenVault
from orders.daily_login import LoginNotKept, Returning
from orders.desk import Desk
from orders.models import BrokerSession, LoginAttempt
from risk import control
from risk.control import LooseningRefused
from risk.models import Mode, TradingControl

from .paper.paper_process import API_SECRET
from .together import Together, held_up

pytestmark = pytest.mark.django_db

TARA = Returning(name="tara", account=1, session_key="tara's browser")
ELSEWHERE = Returning(name="tara", account=1, session_key="tara's other browser")
RITA = Returning(name="rita", account=2, session_key="rita's browser")


@pytest.fixture
def live(paper, clock) -> Desk:
    vault = TokenVault(Mode.LIVE, secret_key="a secret of the suite")
    gateway = KiteGateway(api_key="live-key", root=paper.root, access_token=vault.token)
    return Desk(mode=Mode.LIVE, gateway=gateway, vault=vault, clock=clock)


def state_of(url: str) -> str:
    """Return the state as Kite gives it back: what it was given, as parameters of the address."""
    (echoed,) = parse_qs(urlsplit(url).query)["redirect_params"]
    return parse_qs(echoed)["state"][0]


@pytest.fixture
def back(live, paper):
    """Come back from Kite as Tara, with what it sends; keywords change that."""

    def come(who: Returning = TARA, **changes) -> BrokerSession:
        if "request_token" not in changes:
            changes["request_token"] = paper.request_token("live-key")
        return daily_login.come_back(live, who, **{"succeeded": True, "secret": API_SECRET, **changes})

    return come


def arm_for(user_id: str, desk: Desk) -> None:
    shown = TradingControl.objects.get(mode=Mode.LIVE).version
    control.arm_live(user_id=user_id, by="asha", now=desk.clock(), version_shown=shown)


def test_a_login_is_kept_encrypted_until_six_in_mumbai(live, back, clock):
    session = back(state=state_of(daily_login.begin(live, TARA)))

    assert session.user_id == "PAPER1"
    assert session.valid_until.astimezone(IST).hour == 6
    assert live.vault.is_valid(clock())
    assert live.gateway.user_id() == "PAPER1"
    assert live.vault.token() not in session.access_token
    assert LoginAttempt.objects.get().outcome == "logged in as PAPER1"


def test_a_state_is_good_for_one_return(live, back):
    state = state_of(daily_login.begin(live, TARA))
    back(state=state)
    kept = live.vault.token()

    with pytest.raises(LoginNotKept, match="used already: logged in as PAPER1"):
        back(state=state)

    assert live.vault.token() == kept


@pytest.mark.django_db(transaction=True)
def test_two_clicks_on_one_return_exchange_its_token_once(live, back, paper):
    state, token = state_of(daily_login.begin(live, TARA)), paper.request_token("live-key")

    with held_up("orders_loginattempt") as wait_for:
        both = Together(*[lambda: back(state=state, request_token=token) for _ in range(2)])
        wait_for(2)
    answers = both.join()

    (refusal,) = [str(each) for each in answers if isinstance(each, LoginNotKept)]
    assert "was used already" in refusal  # and not that Kite refused it
    assert live.gateway.user_id() == "PAPER1"


def test_a_login_that_was_overtaken_by_one_that_is_refused_by_now_is_kept(live, paper, wired):
    """Kite made it last, though it answered late: else nobody is logged in, and the only good login is thrown away."""

    class SlowToAnswer(KiteGateway):
        def exchange_request_token(self, request_token: str, api_secret: str) -> tuple[str, str]:
            daily_login.log_in(live, paper.request_token("live-key"), secret=API_SECRET)
            answer = super().exchange_request_token(request_token, api_secret)
            live.vault.refuse("Incorrect api_key or access_token.", asked_at=live.clock(), now=live.clock())
            return answer

    slow = wired(live, gateway=SlowToAnswer(api_key="live-key", root=paper.root, access_token=live.vault.token))

    daily_login.log_in(slow, paper.request_token("live-key"), secret=API_SECRET)

    assert live.vault.is_valid(live.clock())
    assert live.gateway.user_id() == "PAPER1"


def test_of_two_logins_at_once_the_one_that_kite_made_last_is_kept(live, paper, wired):
    """Kite's newest login ends the one before: one that comes to be kept late must not replace it."""

    class Overtaken(KiteGateway):
        def exchange_request_token(self, request_token: str, api_secret: str) -> tuple[str, str]:
            answer = super().exchange_request_token(request_token, api_secret)
            daily_login.log_in(live, paper.request_token("live-key"), secret=API_SECRET)
            return answer

    slow = wired(live, gateway=Overtaken(api_key="live-key", root=paper.root, access_token=live.vault.token))

    with pytest.raises(LoginNotKept, match="another login was made meanwhile"):
        daily_login.log_in(slow, paper.request_token("live-key"), secret=API_SECRET)

    assert live.gateway.user_id() == "PAPER1"


def test_a_login_that_seems_to_come_of_the_future_is_replaced(live, clock, paper):
    live.vault.keep("of a clock that ran ahead", user_id="PAPER1", now=clock() + timedelta(hours=3))

    daily_login.log_in(live, paper.request_token("live-key"), secret=API_SECRET)

    assert live.gateway.user_id() == "PAPER1"


@pytest.mark.parametrize("who", [ELSEWHERE, RITA], ids=["another browser", "another person"])
def test_a_state_is_good_for_who_began_alone(live, back, who):
    state = state_of(daily_login.begin(live, TARA))

    with pytest.raises(LoginNotKept, match="does not belong to a login that you began"):
        back(who, state=state)

    assert not live.vault.token()
    assert back(state=state).user_id == "PAPER1"  # a stranger's try does not use it up


@pytest.mark.parametrize("state", ["", "made up", "\x00", "x" * 5000])
def test_a_return_that_nobody_began_is_refused(live, back, state):
    daily_login.begin(live, TARA)

    with pytest.raises(LoginNotKept, match="does not belong to a login that you began"):
        back(state=state)

    assert not live.vault.token()


@pytest.mark.parametrize(("seconds", "kept"), [(599, True), (600, False)])
def test_a_login_may_take_ten_minutes(live, back, clock, wired, seconds, kept):
    began = clock()
    state = state_of(daily_login.begin(wired(live, clock=lambda: began), TARA))
    later = began.fromtimestamp(began.timestamp() + seconds, tz=IST)

    def come() -> BrokerSession:
        return daily_login.come_back(
            wired(live, clock=lambda: later), TARA, state=state, succeeded=True, request_token="x", secret=API_SECRET
        )

    with pytest.raises(LoginNotKept, match="did not accept it" if kept else "longer than ten minutes"):
        come()


def test_a_login_cancelled_at_kite_changes_nothing(live, back):
    state = state_of(daily_login.begin(live, TARA))

    with pytest.raises(LoginNotKept, match="cancelled at Kite"):
        back(state=state, succeeded=False, request_token="")

    assert not live.vault.token()
    assert LoginAttempt.objects.get().outcome.startswith("the login was cancelled")


def test_the_secret_of_another_app_is_told_with_what_to_check(live, back):
    state = state_of(daily_login.begin(live, TARA))

    with pytest.raises(LoginNotKept, match=r"Invalid `checksum`.*KITE_API_SECRET"):
        back(state=state, secret="of another app")


def test_a_kite_that_is_away_is_told_as_such(live, back, paper):
    state = state_of(daily_login.begin(live, TARA))
    token = paper.request_token("live-key")
    paper.fault("session", "drop_after")

    with pytest.raises(LoginNotKept, match="Kite could not be asked"):
        back(state=state, request_token=token)


def test_a_login_of_another_account_than_the_armed_one_is_not_kept(live, back, clock):
    arm_for("AB1234", live)
    live.vault.keep("the armed one's", user_id="AB1234", now=clock())

    with pytest.raises(LoginNotKept, match="logged you in as PAPER1, and live trading is armed for AB1234"):
        back(state=state_of(daily_login.begin(live, TARA)))

    assert live.vault.token() == "the armed one's"
    assert BrokerSession.objects.get(mode=Mode.LIVE).user_id == "AB1234"


def test_no_row_has_what_would_let_somebody_in(live, back, paper):
    state, request_token = state_of(daily_login.begin(live, TARA)), paper.request_token("live-key")
    back(state=state, request_token=request_token)

    kept = str([*LoginAttempt.objects.values(), *BrokerSession.objects.values()])

    for secret in (state, request_token, live.vault.token(), TARA.session_key):
        assert secret not in kept


def test_paper_needs_no_login(bare_desk, db):
    with pytest.raises(LoginNotKept, match="PAPER, which needs no login"):
        daily_login.begin(bare_desk, TARA)


def test_live_is_armed_for_the_account_that_is_logged_in(live, clock):
    live.vault.keep("a token", user_id="AB1234", now=clock())

    armed = daily_login.arm(live, user_id=" AB1234 ", by="asha", version_shown=1)

    assert (armed.armed_user_id, armed.auto_trading) == ("AB1234", False)


@pytest.mark.parametrize("typed", ["ZZ9999", "ab1234", ""])
def test_live_is_not_armed_for_an_account_that_is_not_logged_in(live, clock, typed):
    live.vault.keep("a token", user_id="AB1234", now=clock())

    with pytest.raises(LooseningRefused, match=f"you typed {typed or 'nothing'}, and the login is of AB1234"):
        daily_login.arm(live, user_id=typed, by="asha", version_shown=1)

    assert TradingControl.objects.get(mode=Mode.LIVE).armed_user_id == ""


def test_live_is_not_armed_by_a_login_of_yesterday(live, clock):
    live.vault.keep("a token", user_id="AB1234", now=clock())
    clock.advance(days=1)

    with pytest.raises(LooseningRefused, match="nobody is logged in"):
        daily_login.arm(live, user_id="AB1234", by="asha", version_shown=1)


def test_live_is_not_armed_before_it_is_known_whose_login_it_is(live, clock):
    live.vault.keep("of the environment", user_id="", now=clock())

    with pytest.raises(LooseningRefused, match="has not been read yet"):
        daily_login.arm(live, user_id="", by="asha", version_shown=1)


def test_a_token_expires_at_six_in_mumbai_and_not_a_second_later(live):
    evening = datetime(2026, 11, 26, 23, 59, 59, tzinfo=IST)
    live.vault.keep("a token", user_id="AB1234", now=evening)

    assert live.vault.is_valid(datetime(2026, 11, 27, 5, 59, 59, tzinfo=IST))
    assert not live.vault.is_valid(datetime(2026, 11, 27, 6, 0, 0, tzinfo=IST))


def test_a_request_token_is_worth_one_login_however_it_comes(live, paper):
    """The command line has no state that could be used up: Kite refuses the second, and the first stays."""
    token = paper.request_token("live-key")
    daily_login.log_in(live, token, secret=API_SECRET)
    kept = live.vault.token()

    with pytest.raises(LoginNotKept, match="did not accept it"):
        daily_login.log_in(live, token, secret=API_SECRET)

    assert live.vault.token() == kept
    assert live.gateway.user_id() == "PAPER1"
