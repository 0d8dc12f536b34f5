#!/usr/bin/env bash
# Runs each Fuzz function whose name matches $1 for $FUZZTIME, one after the
# other (go test fuzzes one function of one package at a time).
set -euo pipefail
pattern=${1:-.} go=${GO:-go} fuzztime=${FUZZTIME:-30s}

# The functions are found by reading the sources: building every test binary of
# the repository to ask it would take minutes.
found=0
while IFS=: read -r file decl; do
	name=${decl#func }
	name=${name%%(*}
	[[ $name =~ $pattern ]] || continue
	found=$((found + 1))
	echo "== $name ($(dirname "$file"), $fuzztime)"
	"$go" test -C "$(dirname "$file")" -run '^$' -fuzz "^$name\$" -fuzztime "$fuzztime" .
done < <(git ls-files --cached --others --exclude-standard '*_test.go' | sort |
	xargs grep -HE '^func Fuzz[A-Z0-9_][A-Za-z0-9_]*\(' /dev/null)

if [ "$found" = 0 ]; then
	echo "no Fuzz function matches $pattern" >&2
	exit 1
fi
