"""Every setting, each read from the environment once. `.env.example` lists the variables with what they do."""

from __future__ import annotations

import os
import re
import secrets
import tomllib
from datetime import time, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import environ
from django.core.exceptions import ImproperlyConfigured
from django.urls import reverse_lazy

from config.local_folder import write_private
from config.logging import configure_logging
from config.secret_files import read_secret_files
from config.unfold import UNFOLD as THEME
from orders.alert_urls import NotAnAddress, secrets_of, split
from orders.redaction import hide

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
if (BASE_DIR / ".env").exists():
    env.read_env(BASE_DIR / ".env")
VERSION: str = tomllib.loads((BASE_DIR / "pyproject.toml").read_text())["project"]["version"]

read_secret_files(os.environ)

LOCAL_DIR = Path(env.str("ORDER_EXECUTOR_LOCAL", default=str(BASE_DIR / ".local")))


def _decimal(name: str, default: str, *, minimum: str, maximum: str) -> Decimal:
    raw = env.str(name, default=default)
    try:
        value = Decimal(raw)
    except InvalidOperation:
        raise ImproperlyConfigured(f"{name} is {raw!r}: give a number, such as {default}") from None
    if not value.is_finite() or not Decimal(minimum) <= value <= Decimal(maximum):
        raise ImproperlyConfigured(f"{name} is {raw}: give a number from {minimum} to {maximum}")
    return value


def _integer(name: str, default: int, *, minimum: int, maximum: int) -> int:
    raw = env.str(name, default=str(default))
    if not (raw.strip().isascii() and raw.strip().isdigit()) or not minimum <= int(raw) <= maximum:
        raise ImproperlyConfigured(f"{name} is {raw!r}: give a whole number from {minimum} to {maximum}")
    return int(raw)


def _truth(name: str, *, default: bool) -> bool:
    raw = env.str(name, default=str(default)).strip().lower()
    if raw not in {"true", "false", "1", "0", "yes", "no", "on", "off"}:
        raise ImproperlyConfigured(f"{name} is {raw!r}: give true or false")
    return raw in {"true", "1", "yes", "on"}


def _time_of_day(name: str, default: str) -> time:
    raw = env.str(name, default=default).strip()
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", raw):
        raise ImproperlyConfigured(f"{name} is {raw!r}: give a time of day, such as {default}")
    return time.fromisoformat(raw)


def _time_zone(name: str, default: str) -> ZoneInfo:
    raw = env.str(name, default=default)
    try:
        return ZoneInfo(raw)
    except (ZoneInfoNotFoundError, ValueError):
        raise ImproperlyConfigured(f"{name} is {raw!r}: give a time zone name, such as Asia/Kolkata") from None


def _secret_key() -> str:
    """Return the given secret key, or one made on the first start and kept beside the local data."""
    given: str = env.str("SECRET_KEY", default="")
    if given:
        return given
    kept = LOCAL_DIR / "secret_key"
    if not kept.exists():
        LOCAL_DIR.mkdir(parents=True, exist_ok=True)
        write_private(kept, secrets.token_urlsafe(50))
    return kept.read_text().strip()


# --- Which broker --------------------------------------------------------------------------------------------------
KITE_API_KEY = env.str("KITE_API_KEY", default="").strip()
KITE_API_SECRET = env.str("KITE_API_SECRET", default="").strip()
KITE_ACCESS_TOKEN = env.str("KITE_ACCESS_TOKEN", default="").strip()
KITE_ROOT_URL = env.str("KITE_ROOT_URL", default="https://api.kite.trade")
KITE_STREAM_URL = env.str("KITE_STREAM_URL", default="wss://ws.kite.trade")
KITE_LOGIN_URL = env.str("KITE_LOGIN_URL", default="https://kite.zerodha.com/connect/login")
for _name, _url, _scheme in (
    ("KITE_ROOT_URL", KITE_ROOT_URL, "https://"),
    ("KITE_LOGIN_URL", KITE_LOGIN_URL, "https://"),
    ("KITE_STREAM_URL", KITE_STREAM_URL, "wss://"),
):
    if not _url.startswith(_scheme) and urlsplit(_url).hostname not in ("127.0.0.1", "localhost"):
        raise ImproperlyConfigured(f"{_name} is {_url!r}: give one that begins with {_scheme}")
STREAMED_PRICE_AGE_MAX_SECONDS = _integer("STREAMED_PRICE_AGE_MAX_SECONDS", 3, minimum=0, maximum=30)
STATIC_IP = env.str("STATIC_IP", default="").strip()
BROKER_CALL_AND_TRADE = env.str("BROKER_CALL_AND_TRADE", default="").strip()
KITE_POSTBACK = _truth("KITE_POSTBACK", default=False)
PAPER_KITE_URL = env.str("PAPER_KITE_URL", default="")
PAPER_MARKET_HOURS = env.str("PAPER_MARKET_HOURS", default="") or "always"
if PAPER_MARKET_HOURS not in ("always", "nse"):
    raise ImproperlyConfigured(f"PAPER_MARKET_HOURS is {PAPER_MARKET_HOURS!r}: use always or nse")
if bool(KITE_API_KEY) != bool(KITE_API_SECRET):
    missing = "KITE_API_SECRET" if KITE_API_KEY else "KITE_API_KEY"
    raise ImproperlyConfigured(
        f"{missing} is empty while the other half is set: set both to trade live, or neither to trade on paper"
    )
SHADOW = _truth("SHADOW", default=False)
if SHADOW and not KITE_API_KEY:
    raise ImproperlyConfigured("SHADOW needs Zerodha's prices: set KITE_API_KEY and KITE_API_SECRET, or take it out")
TRADING_MODE = ("SHADOW" if SHADOW else "LIVE") if KITE_API_KEY else "PAPER"

# --- What the original system called its settings; the first values of the risk settings -----------------------------
ENABLE_AUTO_TRADING = _truth("ENABLE_AUTO_TRADING", default=False)
POSITION_SIZE = _decimal("POSITION_SIZE", "1000.0", minimum="0", maximum="100000000")
MAX_POSITION_SIZE = _decimal("MAX_POSITION_SIZE", "10000", minimum="0", maximum="100000000")
MAX_DAILY_TRADES = _integer("MAX_DAILY_TRADES", 10, minimum=0, maximum=5000)
CMS_BUY_THRESHOLD = _decimal("CMS_BUY_THRESHOLD", "60.0", minimum="-100", maximum="100")
CMS_SELL_THRESHOLD = _decimal("CMS_SELL_THRESHOLD", "-60.0", minimum="-100", maximum="100")
if POSITION_SIZE > MAX_POSITION_SIZE:
    raise ImproperlyConfigured(
        f"POSITION_SIZE {POSITION_SIZE} is above MAX_POSITION_SIZE {MAX_POSITION_SIZE}: lower one or raise the other"
    )
FIRST_LIMITS: dict[str, Decimal | int] = {
    "POSITION_SIZE": POSITION_SIZE,
    "MAX_POSITION_SIZE": MAX_POSITION_SIZE,
    "MAX_DAILY_TRADES": MAX_DAILY_TRADES,
    "CMS_BUY_THRESHOLD": CMS_BUY_THRESHOLD,
    "CMS_SELL_THRESHOLD": CMS_SELL_THRESHOLD,
}

# --- What loosens a limit needs, and what no approval reaches ---------------------------------------------------------
LOOSENING_NEEDS = env.str("LOOSENING_NEEDS", default="") or "confirmation"
if LOOSENING_NEEDS not in ("confirmation", "second_person"):
    raise ImproperlyConfigured(f"LOOSENING_NEEDS is {LOOSENING_NEEDS!r}: use confirmation or second_person")
_RUPEES_MAX = "1000000000"
LIMIT_CEILINGS: dict[str, Decimal | int] = {
    "position_size": _decimal(
        "CEILING_POSITION_SIZE", str(10 * max(POSITION_SIZE, Decimal(1000))), minimum="0", maximum=_RUPEES_MAX
    ),
    "order_value_max": _decimal(
        "CEILING_ORDER_VALUE", str(5 * max(MAX_POSITION_SIZE, Decimal(10_000))), minimum="0", maximum=_RUPEES_MAX
    ),
    "position_value_max": _decimal(
        "CEILING_MAX_POSITION_SIZE", str(10 * max(MAX_POSITION_SIZE, Decimal(10_000))), minimum="0", maximum=_RUPEES_MAX
    ),
    "order_quantity_max": _integer("CEILING_ORDER_QUANTITY", 10_000, minimum=0, maximum=10_000_000),
    "daily_trades_max": _integer(
        "CEILING_MAX_DAILY_TRADES", min(5000, 10 * max(MAX_DAILY_TRADES, 10)), minimum=0, maximum=5000
    ),
    "daily_loss_max": _decimal("CEILING_DAILY_LOSS", "10000", minimum="0", maximum=_RUPEES_MAX),
    "orders_per_second_max": _integer("CEILING_ORDERS_PER_SECOND", 8, minimum=0, maximum=8),
    "orders_per_minute_max": _integer("CEILING_ORDERS_PER_MINUTE", 300, minimum=0, maximum=360),
    "slippage_percent": _decimal("CEILING_SLIPPAGE_PERCENT", "5", minimum="0", maximum="20"),
    "collar_percent": _decimal("CEILING_COLLAR_PERCENT", "20", minimum="0", maximum="20"),
    "closing_collar_percent": _decimal("CEILING_CLOSING_COLLAR_PERCENT", "20", minimum="0", maximum="20"),
    "signal_age_max_seconds": _integer("CEILING_SIGNAL_AGE_SECONDS", 3000, minimum=0, maximum=86_400),
    "closing_signal_age_max_seconds": _integer("CEILING_CLOSING_SIGNAL_AGE_SECONDS", 36_000, minimum=0, maximum=86_400),
    "quote_age_max_seconds": _integer("CEILING_QUOTE_AGE_SECONDS", 100, minimum=0, maximum=3600),
    "signal_drift_percent": _decimal("CEILING_SIGNAL_DRIFT_PERCENT", "10", minimum="0", maximum="20"),
    "open_orders_max": _integer("CEILING_OPEN_ORDERS", 10 * max(MAX_DAILY_TRADES, 10), minimum=0, maximum=50_000),
    "symbol_open_orders_max": _integer("CEILING_SYMBOL_OPEN_ORDERS", 10, minimum=0, maximum=50_000),
    "gross_exposure_max": _decimal(
        "CEILING_GROSS_EXPOSURE",
        str(50 * max(MAX_POSITION_SIZE, Decimal(10_000))),
        minimum="0",
        maximum=f"{50 * Decimal(_RUPEES_MAX)}",
    ),
    "positions_max": _integer("CEILING_POSITIONS", 100, minimum=0, maximum=50_000),
    "funds_use_percent": _decimal("CEILING_FUNDS_USE_PERCENT", "100", minimum="0", maximum="100"),
    "reject_streak_max": _integer("CEILING_REJECT_STREAK", 30, minimum=0, maximum=100),
    "rejections_max": _integer("CEILING_REJECTIONS", 50, minimum=0, maximum=100),
}
for _first, _ceiling in (
    ("POSITION_SIZE", "position_size"),
    ("MAX_POSITION_SIZE", "position_value_max"),
    ("MAX_DAILY_TRADES", "daily_trades_max"),
):
    if FIRST_LIMITS[_first] > LIMIT_CEILINGS[_ceiling]:
        raise ImproperlyConfigured(
            f"{_first} {FIRST_LIMITS[_first]} is above CEILING_{_first} "
            f"{LIMIT_CEILINGS[_ceiling]}: lower one or raise the other"
        )

# --- Signals ---------------------------------------------------------------------------------------------------------
REDIS_URL = env.str("REDIS_URL", default="redis://127.0.0.1:6379/0")
SIGNAL_CHANNEL = env.str("SIGNAL_CHANNEL", default="signals")
SIGNAL_STREAM = env.str("SIGNAL_STREAM", default="signals:stream")
SIGNAL_GROUP = env.str("SIGNAL_GROUP", default="order-executor")
SIGNAL_TIME_ZONE = _time_zone("SIGNAL_TIME_ZONE", "Asia/Kolkata")
DEFAULT_EXCHANGE = env.str("DEFAULT_EXCHANGE", default="NSE")
ENTRY_ORDER_TYPE = env.str("ENTRY_ORDER_TYPE", default="LIMIT").upper()
if ENTRY_ORDER_TYPE not in {"LIMIT", "MARKET"}:
    raise ImproperlyConfigured(f"ENTRY_ORDER_TYPE is {ENTRY_ORDER_TYPE!r}: give LIMIT or MARKET")
ABSENCE_WINDOW_SECONDS = _integer("ABSENCE_WINDOW_SECONDS", 120, minimum=1, maximum=3600)
END_OF_DAY_AT = _time_of_day("END_OF_DAY_AT", "15:45")
BROKER_SLOW_SECONDS = _integer("BROKER_SLOW_SECONDS", 5, minimum=1, maximum=60)

# --- Alerts -----------------------------------------------------------------------------------------------------------
try:
    ALERT_URLS = split(env.str("ALERT_URLS", default=""))
except NotAnAddress as _trouble:
    raise ImproperlyConfigured(f"ALERT_URLS: {_trouble}") from None
ALERT_QUIET = frozenset(env.list("ALERT_QUIET", default=[]))
ALERT_PING_URL = env.str("ALERT_PING_URL", default="").strip()
BASE_URL = env.str("BASE_URL", default="").strip().rstrip("/")
for _name, _url in (("ALERT_PING_URL", ALERT_PING_URL), ("BASE_URL", BASE_URL)):
    if _url and not _url.startswith(("https://", "http://")):
        raise ImproperlyConfigured(f"{_name} is no address of the web: give one that begins with https://")

# --- Watching and keeping --------------------------------------------------------------------------------------------
METRICS_TOKEN = env.str("METRICS_TOKEN", default="").strip()
if METRICS_TOKEN and len(METRICS_TOKEN) < 16:
    raise ImproperlyConfigured("METRICS_TOKEN is shorter than 16 characters: give a random one, or none to close it")
BACKUP_DIR = BASE_DIR / (env.str("BACKUP_DIR", default="") or LOCAL_DIR / "backups")
BACKUP_DAILY = _integer("BACKUP_DAILY", 14, minimum=1, maximum=3660)
BACKUP_WEEKLY = _integer("BACKUP_WEEKLY", 8, minimum=0, maximum=520)
BACKUP_MONTHLY = _integer("BACKUP_MONTHLY", 60, minimum=0, maximum=600)

# --- Django ----------------------------------------------------------------------------------------------------------
SECRET_KEY = _secret_key()
DEBUG = _truth("DEBUG", default=False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
SECURE_COOKIES = _truth("SECURE_COOKIES", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_COOKIES
CSRF_COOKIE_HTTPONLY = True  # pages have its token in their forms
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SECURE_COOKIES else None
SECURE_SSL_REDIRECT = SECURE_COOKIES
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz|metrics)$"]  # asked for over loopback, by what speaks no TLS
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if SECURE_COOKIES else 0
# Whether every other name below the host's speaks TLS, and shall be listed as such for ever, is not ours to say.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
# From the log-in on, whatever is done meanwhile: the pages renew their strip by themselves, and would keep a session
# that nobody sits at alive for ever.
SESSION_COOKIE_AGE = 3600 * _integer("SESSION_HOURS", 12, minimum=1, maximum=24)
REQUIRE_SECOND_FACTOR = _truth("REQUIRE_SECOND_FACTOR", default=False)
OTP_TOTP_ISSUER = "Order Executor"
TRUSTED_PROXIES = _integer("TRUSTED_PROXIES", 0, minimum=0, maximum=5)
if DEBUG and TRADING_MODE != "PAPER":
    raise ImproperlyConfigured("DEBUG is on, and its error pages show what is secret: turn it off to use a real login")
DEFAULT_EXCEPTION_REPORTER_FILTER = "config.error_pages.WithoutAddresses"

# --- The lock-out of who guesses passwords ----------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # fifteen minutes, however often it is tried meanwhile
AXES_RESET_ON_SUCCESS = True
AXES_CLIENT_IP_CALLABLE = "config.client_address.client_address"
AXES_USERNAME_CALLABLE = "orders.admin.lock_outs.name_tried"
AXES_LOCKOUT_CALLABLE = "orders.admin.lock_outs.locked_out"
AXES_SENSITIVE_PARAMETERS = ["next", "csrfmiddlewaretoken"]  # the address asked for may hold Kite's request token
AXES_ENABLE_ADMIN = False  # the desk has a page of its own
AXES_VERBOSE = False

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "axes",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "pgtrigger",
    "config",
    "risk",
    "orders",
]
MIDDLEWARE = [
    "config.request_ids.KnownRequests",
    "config.middleware.content_policy",
    "orders.api.edge.api_edge",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "config.middleware.SecondFactor",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "DIRS": [BASE_DIR / "orders" / "templates"],  # before the theme's own, to replace a few of them
        "OPTIONS": {
            "libraries": {"empty_states": "orders.admin.empty_states"},
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

DATABASES: dict[str, dict[str, Any]] = {
    "default": env.db_url("DATABASE_URL", default="postgresql://127.0.0.1:5432/order_executor")
}
DATABASES["default"]["CONN_MAX_AGE"] = 60
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DATABASES["default"].setdefault("OPTIONS", {}).update(
    # A process that is paused inside a transaction must not hold the book's lock for ever: no statement may run, and no
    # transaction idle, for as long as another waits for it.
    options="-c idle_in_transaction_session_timeout=5s -c statement_timeout=8s -c lock_timeout=8s"
    " -c synchronous_commit=on"
    # What is asked for lies in memory, or on a disk without arms: to look here and there costs little more.
    " -c random_page_cost=1.1",
    connect_timeout=5,
    # A line that was cut without a word is noticed by both: by whoever waits for an answer, and by whoever sends.
    keepalives_idle=5,
    keepalives_interval=2,
    keepalives_count=3,
    tcp_user_timeout=10_000,
    prepare_threshold=5,  # None would forbid what `risk.questions` asks for; Django's own cursors prepare nothing
)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "Asia/Kolkata"
USE_TZ = True
USE_I18N = False
STATIC_URL = "static/"
WHITENOISE_USE_FINDERS = True
LOGIN_URL = reverse_lazy("admin:login")
LOGIN_REDIRECT_URL = reverse_lazy("admin:index")
UNFOLD = THEME

LOGGING_CONFIG = None
for _secret in (
    *(secret for url in (*ALERT_URLS, ALERT_PING_URL) for secret in secrets_of(url)),
    SECRET_KEY,
    KITE_API_SECRET,
    KITE_ACCESS_TOKEN,
    METRICS_TOKEN,
    DATABASES["default"].get("PASSWORD") or "",
    unquote(urlsplit(REDIS_URL).password or ""),
):
    hide(_secret, for_good=True)
configure_logging(level=env.str("LOG_LEVEL", default="INFO"), as_json=_truth("LOG_JSON", default=False))
