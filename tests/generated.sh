#!/bin/sh
# Fails if 'go generate' changes a file that is checked in.
set -eu
cd "$(dirname "$0")/.."
before=$(git status --porcelain; git diff | cksum)
${GO:-go} generate ./...
after=$(git status --porcelain; git diff | cksum)
if [ "$before" != "$after" ]; then
	echo "generated files are out of date; run 'go generate ./...' and commit:" >&2
	git status --porcelain >&2
	exit 1
fi
