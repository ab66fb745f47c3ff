#!/bin/sh
# Installs what `python -m tests.bench.speed` and `.parsers` measure beside us, and says which versions came.
# Debian or Ubuntu, as root. PYTHON names the interpreter of the virtual environment: PYTHON=.venv/bin/python
set -eu
python="${PYTHON:-python3}"
export DEBIAN_FRONTEND=noninteractive

apt-get update -qq
apt-get install -y -qq --no-install-recommends spamassassin spamc bogofilter rspamd
# spamd is a package of its own in newer releases, and part of spamassassin in older ones
if ! command -v spamd >/dev/null 2>&1 && ! test -x /usr/sbin/spamd; then
    apt-get install -y -qq --no-install-recommends spamd
fi
# the benches start servers of their own; none of the distribution's shall take part of the core
for service in spamd spamassassin rspamd; do
    if command -v systemctl >/dev/null 2>&1; then
        systemctl disable --now "$service" >/dev/null 2>&1 || true
    fi
done
"$python" -m pip install -q -c "$(dirname "$0")/../../constraints.txt" scikit-learn fast-mail-parser openvino

dpkg-query -W -f '${Package} ${Version}\n' spamassassin spamc spamd rspamd bogofilter 2>/dev/null || true
"$python" -m pip list 2>/dev/null | grep -iE '^(scikit-learn|fast-mail-parser|openvino) '
