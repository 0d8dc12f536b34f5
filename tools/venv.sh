#!/usr/bin/env bash
# Makes a virtual environment, or brings one up to date, and installs into it:
#
#   PYTHON=python3 tools/venv.sh FOLDER PIP-ARGUMENT...
#
# It does nothing when that was done before with the same Python, arguments and
# requirements. When Python itself is what is missing it says how to get it and ends
# with status 3.
set -euo pipefail
python=${PYTHON:-python3}
folder=$1
shift

missing() {
	echo "$1" >&2
	echo "Install Python 3.10 or later with its venv module (Debian: apt-get install python3 python3-venv), or set PYTHON to one." >&2
	exit 3
}

command -v "$python" >/dev/null || missing "No $python was found."
version=$("$python" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])') || missing "$python does not run."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || missing "$python is Python $version, which is too old."
"$python" -c 'import venv, ensurepip' 2>/dev/null || missing "$python (Python $version) has no venv module."

# What was asked for, and the sums of the files among it.
state=$(
	echo "$version $*"
	for argument in "$@"; do
		path=${argument%%\[*}
		for file in "$path" "$path/pyproject.toml"; do
			if [ -f "$file" ]; then cksum <"$file"; fi
		done
	done
)
if [ -x "$folder/bin/python" ] && [ "$(cat "$folder/.state" 2>/dev/null)" = "$state" ]; then
	exit 0
fi
echo "setting up $folder (Python $version)" >&2
rm -f "$folder/.state"
if [ "$("$folder/bin/python" -c 'import pip, sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null)" != "$version" ]; then
	"$python" -m venv --clear "$folder"
fi
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@" >&2 || {
	echo "pip could not install into $folder: see above. It needs a package index that it can reach (PIP_INDEX_URL names another); then run the same again." >&2
	exit 1
}
printf '%s\n' "$state" >"$folder/.state"
