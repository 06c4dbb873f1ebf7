"""What an error page of DEBUG does not show, beside what Django hides by itself."""

from __future__ import annotations

import re

from django.views.debug import SafeExceptionReporterFilter


class WithoutAddresses(SafeExceptionReporterFilter):
    """The address of a server holds its password."""

    hidden_settings = re.compile("API|AUTH|TOKEN|KEY|SECRET|PASS|SIGNATURE|HTTP_COOKIE|URL", re.IGNORECASE)
