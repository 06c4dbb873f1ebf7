"""
The second factor of a person: the code of an authenticator app (TOTP), or one of ten recovery codes on paper.

A code is good once, and wrong ones make the next wait longer: django-otp keeps count, under a row lock. What is kept of
a recovery code is a digest; the app's key has to be kept as it is.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from io import BytesIO
from typing import Any

import structlog
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core import signing
from django.db import transaction
from django.utils import timezone
from django_otp import verify_token
from django_otp.models import Device
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice
from qrcode import QRCode
from qrcode.image.svg import SvgPathImage

RECOVERY_CODES = 10
KEY_BYTES = 20
KEY_AGE_MAX_SECONDS = 1800
SALT = "second factor"
_APP_CODE = re.compile(r"[0-9]{6}")
_RECOVERY_CODE = re.compile(r"[A-Z2-7]{16}")

log = structlog.get_logger(__name__)


class CodeRefused(Exception):
    """The code proves nothing; the message says what to do."""


def device_of(user: User) -> TOTPDevice | None:
    """Return the authenticator that the person enrolled."""
    return TOTPDevice.objects.filter(user=user, confirmed=True).order_by("-pk").first()


def recovery_codes_left(user: User) -> int:
    return sum(device.token_set.count() for device in StaticDevice.objects.filter(user=user))


def offer(user: User) -> str:
    """Return a fresh key for an authenticator, sealed for this person. None of it is stored before it is confirmed."""
    return signing.dumps([user.pk, secrets.token_hex(KEY_BYTES)], salt=SALT)


def unsealed(offered: str, user: User) -> TOTPDevice:
    """Return the device that was offered, not saved. Raise `CodeRefused` when it is old or another person's."""
    try:
        owner, key = signing.loads(offered, salt=SALT, max_age=KEY_AGE_MAX_SECONDS)
    except signing.BadSignature:
        owner, key = None, ""
    if owner != user.pk:
        raise CodeRefused("this key is too old: scan the new one")
    return TOTPDevice(user=user, key=key, name="Authenticator")


def as_picture(device: TOTPDevice) -> str:
    """Return the device's address as an SVG that an authenticator app can scan."""
    code = QRCode(border=2, box_size=8)
    code.add_data(device.config_url)
    image = code.make_image(image_factory=SvgPathImage)
    out = BytesIO()
    image.save(out)
    svg = out.getvalue().decode()
    return svg[svg.index("<svg") :]


def key_in_words(device: TOTPDevice) -> str:
    """Return the key in groups of four letters, for who types it."""
    text = base64.b32encode(device.bin_key).decode()
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def enrol(user: User, offered: str, code: str) -> TOTPDevice:
    """Make the offered authenticator the person's only one. Raise `CodeRefused` unless the code is its own."""
    device = unsealed(offered, user)
    typed = _bare(code)
    totp = TOTP(device.bin_key)
    if not _APP_CODE.fullmatch(typed) or not totp.verify(int(typed), tolerance=1):
        raise CodeRefused("that is not the code the app shows now: is the phone's clock right?")
    device.drift, device.last_t = totp.drift, totp.t()  # this code has been used
    with transaction.atomic():
        TOTPDevice.objects.filter(user=user).delete()
        device.save()
    log.info("second_factor.enrolled", user=user.get_username())
    return device


def draw_recovery_codes(user: User) -> list[str]:
    """Replace the person's recovery codes and return the new ones: they can be shown this once."""
    codes = [base64.b32encode(secrets.token_bytes(10)).decode() for _ in range(RECOVERY_CODES)]
    with transaction.atomic():
        StaticDevice.objects.filter(user=user).delete()
        device = StaticDevice.objects.create(user=user, name="Recovery codes")
        device.token_set.bulk_create(device.token_set.model(device=device, token=_digest(code)) for code in codes)
    log.info("second_factor.recovery_codes_drawn", user=user.get_username())
    return ["-".join(code[start : start + 4] for start in range(0, len(code), 4)) for code in codes]


def prove(user: User, code: str) -> Device:
    """Return the device whose code it is; the code is used up. Raise `CodeRefused`."""
    typed = _bare(code)
    by_app = bool(_APP_CODE.fullmatch(typed))
    if not by_app and not _RECOVERY_CODE.fullmatch(typed):
        raise CodeRefused("a code is six digits, and a recovery code sixteen letters and digits")
    if by_app:
        device = device_of(user)
    else:
        device, typed = StaticDevice.objects.filter(user=user, confirmed=True).first(), _digest(typed)
    if device is None:
        raise CodeRefused("that is no code of yours")
    allowed, why_not = device.verify_is_allowed()
    if not allowed:
        raise CodeRefused(f"too many wrong codes: wait until {_time(why_not)}")
    proven = verify_token(user, device.persistent_id, typed)
    if proven is None:
        log.warning("second_factor.refused", user=user.get_username(), by="app" if by_app else "recovery code")
        raise CodeRefused("that code is wrong, or was used before: wait for the next one")
    log.info("second_factor.proven", user=user.get_username(), by="app" if by_app else "recovery code")
    return proven


def reset(user: User, *, by: str, reason: str) -> bool:
    """
    Forget the person's authenticator and recovery codes, and end the sessions; return whether there was any.

    Where none is required, a session that was open on a lost phone would go on without.
    """
    with transaction.atomic():
        gone, _ = TOTPDevice.objects.filter(user=user).delete()
        StaticDevice.objects.filter(user=user).delete()
        for session in Session.objects.filter(expire_date__gt=timezone.now()):
            if session.get_decoded().get(SESSION_KEY) == str(user.pk):
                session.delete()
    log.warning("second_factor.reset", user=user.get_username(), by=by, reason=reason)
    return bool(gone)


def _bare(code: str) -> str:
    """Return a code without what people put between its letters."""
    return re.sub(r"[\s-]", "", code).upper()


def _digest(code: str) -> str:
    """Return what is kept of a recovery code: sixteen characters, of eighty random bits."""
    return base64.urlsafe_b64encode(hashlib.sha256(code.encode()).digest())[:16].decode()


def _time(why_not: dict[str, Any]) -> str:
    return f"{timezone.localtime(why_not['locked_until']):%H:%M:%S}"
