#!/bin/sh
# Dovecot runs this for a message that a user moved: spamfilter-learn.sh spam|ham USER, the message on standard input.
set -eu

SPAMFILTER=/opt/spamfilter/bin/spamfilter
# As in the daemon's unit: the labels and the memory of that daemon.
export SPAMFILTER__STATE_DIR=/var/lib/spamfilter

case "${1-}" in
  spam | ham) ;;
  *) echo "usage: ${0##*/} spam|ham USER <message" >&2; exit 64 ;;
esac
exec "$SPAMFILTER" learn "--$1" "--who=${2:?}" - >/dev/null
