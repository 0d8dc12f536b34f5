#!/usr/bin/env bash
# Runs the tests of package $1 that match $2 $COUNT times while every core is
# busy with something else. What only fails one time in thirty on somebody's
# loaded machine fails here.
set -euo pipefail
pkg=${1:-} run=${2:-} go=${GO:-go} count=${COUNT:-50} race=${RACE:-}
if [ -z "$pkg" ] || [ -z "$run" ]; then
	echo 'usage: make stress PKG=./executor RUN=TestCrash [COUNT=50]' >&2
	exit 2
fi

bin=$(mktemp -d)
burners=()
cleanup() {
	[ ${#burners[@]} = 0 ] || kill "${burners[@]}" 2>/dev/null || true
	rm -rf "$bin"
}
trap cleanup EXIT

# Built before the load starts, so that the load slows the test and not the build.
"$go" test ${race:+"$race"} -c -o "$bin/stress.test" "$pkg"
if [ ! -x "$bin/stress.test" ] || [ -z "$("$bin/stress.test" -test.list "${run%%/*}")" ]; then
	echo "no test of $pkg matches $run" >&2
	exit 1
fi

cores=$(getconf _NPROCESSORS_ONLN)
for ((i = 0; i < cores; i++)); do
	(while :; do :; done) &
	burners+=($!)
done

cd "$("$go" list -f '{{.Dir}}' "$pkg")"
echo "$run in $pkg, $count times, $cores cores busy${race:+, race detector on}"
"$bin/stress.test" -test.run "$run" -test.count "$count" -test.failfast -test.timeout 30m
