"""Tokens that their vendors made easy to know: by how they begin, and by what may follow.

Owns the table; knows nothing of where tokens stand. Each row is what they begin with and a regular expression for the
rest, which has bounds and no choice to go back to.
"""

from __future__ import annotations

_LONG = r"[A-Za-z0-9_-]{20,400}+"

TOKENS: tuple[tuple[str, str], ...] = (
    ("AKIA ASIA ABIA ACCA", r"[A-Z0-9]{16}"),  # AWS access key id
    ("ghp_ gho_ ghu_ ghs_ ghr_", r"[A-Za-z0-9_.-]{36,600}+"),  # GitHub
    ("github_pat_", r"[A-Za-z0-9_]{22,255}+"),
    (
        "glpat- gldt- glrt- glrtr- glcbt- glptt- glft- glsoat- glimt- glagent- gloas- glffct-",
        r"[A-Za-z0-9_.-]{20,300}+",
    ),
    ("xoxb- xoxp- xoxa- xoxr- xoxs- xoxe- xoxc- xoxd- xoxe.xoxb- xoxe.xoxp- xapp-", r"[A-Za-z0-9%-]{10,400}+"),  # Slack
    ("hooks.slack.com/services/ hooks.slack.com/workflows/ hooks.slack.com/triggers/", r"[A-Za-z0-9/_-]{20,200}+"),
    ("discord.com/api/webhooks/ discordapp.com/api/webhooks/", r"\d{15,22}/[A-Za-z0-9_-]{40,100}+"),
    ("sk-ant-api03- sk-ant-admin01- sk-ant-oat01- sk-ant-", _LONG),  # Anthropic
    ("sk-proj- sk-svcacct- sk-admin- sk-or-v1- sk-lf- sk-", _LONG),  # OpenAI, and others in its manner
    ("hf_ api_org_", r"[A-Za-z0-9]{30,64}+"),  # Hugging Face
    ("AIza", r"[A-Za-z0-9_-]{35}"),  # Google
    ("ya29. GOCSPX- 1//0", r"[A-Za-z0-9_-]{20,600}+"),
    ("sk_live_ sk_test_ rk_live_ rk_test_ pk_live_ whsec_", r"[A-Za-z0-9+/]{16,250}+={0,2}"),  # Stripe
    ("SK AC", r"[0-9a-f]{32}"),  # Twilio
    ("SG.", r"[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{30,64}+"),  # SendGrid
    ("key-", r"[0-9a-f]{32}"),  # Mailgun
    ("npm_", r"[A-Za-z0-9]{36,64}+"),
    ("pypi-AgEI pypi-", r"[A-Za-z0-9_-]{50,600}+"),
    ("rubygems_", r"[0-9a-f]{48}"),
    ("dckr_pat_ dckr_oat_", r"[A-Za-z0-9_-]{20,80}+"),  # Docker
    ("dop_v1_ doo_v1_ dor_v1_", r"[0-9a-f]{64}"),  # DigitalOcean
    ("shpat_ shpca_ shppa_ shpss_", r"[A-Fa-f0-9]{32}"),  # Shopify
    ("lin_api_ figd_ ntn_ glsa_ gsk_ pplx- tvly- r8_ fw_ csk- xai- nvapi- jina_", r"[A-Za-z0-9_-]{24,200}+"),
    ("sntrys_ sntryu_", r"[A-Za-z0-9_+/=-]{40,500}+"),  # Sentry
    ("hvs. hvb. hvr.", r"[A-Za-z0-9_-]{24,300}+"),  # Vault
    ("ATATT3 ATCTT3 ATBB", r"[A-Za-z0-9_=-]{28,400}+"),  # Atlassian
    ("dapi", r"[0-9a-f]{32}"),  # Databricks
    ("AGE-SECRET-KEY-1", r"[0-9A-Z]{58}"),
    ("xkeysib- PMAK- pul- NRAK- sq0csp- sq0atp-", r"[A-Za-z0-9_-]{22,120}+"),
    ("api.telegram.org/bot", r"\d{6,12}:[A-Za-z0-9_-]{30,50}+"),
    ("sig=", r"[A-Za-z0-9%+/]{40,100}+={0,2}"),  # Azure's signed addresses
    ("$2a$ $2b$ $2y$", r"\d\d\$[./A-Za-z0-9]{53}"),  # hashes of passwords
    (
        "$argon2id$ $argon2i$ $argon2d$",
        r"v=\d{1,3}\$m=\d{1,9},t=\d{1,5},p=\d{1,5}\$[A-Za-z0-9+/]{8,90}\$[A-Za-z0-9+/]{16,180}+",
    ),
    ("pbkdf2_sha256$ pbkdf2_sha1$", r"\d{1,9}\$[A-Za-z0-9]{4,64}\$[A-Za-z0-9+/]{24,90}={0,2}"),  # Django's
    ("$1$ $5$ $6$ $apr1$ $y$", r"(?:rounds=\d{1,9}\$)?[./A-Za-z0-9]{1,24}\$[./A-Za-z0-9]{20,90}+"),
    ("eyJ", r"[A-Za-z0-9_-]{10,8192}+\.eyJ[A-Za-z0-9_-]{8,8192}+\.[A-Za-z0-9_-]{8,8192}+"),  # JSON web tokens
)

PREFIXES: tuple[str, ...] = tuple(
    sorted((prefix for prefixes, _ in TOKENS for prefix in prefixes.split()), key=len, reverse=True)
)
