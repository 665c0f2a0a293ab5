#!/bin/bash
# Builds the guide with mdBook into target/book, and fails on a page that is missing. An mdbook on the PATH is used; else it
# is installed from crates.io below the target folder (without its server and its search, which are not needed here).
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-$PWD/target}
mdbook=$(command -v mdbook || true)
if [[ -z $mdbook ]]; then
  mdbook=$target/tools/bin/mdbook
  # Without optimisation: it only has to run once.
  [[ -x $mdbook ]] || CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_TARGET_DIR=$target/tools/build \
    cargo install --quiet --locked mdbook --version 0.5.1 --no-default-features --root "$target/tools"
fi

rm -rf "$target/book"
"$mdbook" build docs/guide --dest-dir "$target/book"
pages=0
while read -r page; do
  [[ -f $target/book/${page%.md}.html ]] || { echo "book: no page for $page" >&2; exit 1; }
  pages=$((pages + 1))
done < <(sed -n 's/.*](\(.*\.md\)).*/\1/p' docs/guide/SUMMARY.md)
echo "book: $pages pages in $target/book"
