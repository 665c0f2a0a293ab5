#!/bin/bash
# Unpacks packages of a Debian suite and all their dependencies, without installing anything.
# Sourced by other scripts.

unpack_debian() { # unpack_debian SUITE FOLDER PACKAGE...: into FOLDER/root; the packages themselves stay in FOLDER/apt/cache/archives until the caller removes FOLDER/apt
  local suite=$1 folder=$2 mirror package options
  shift 2
  command -v apt-get >/dev/null || { echo "Debian's apt is not there" >&2; return 1; }
  # shellcheck disable=SC2016
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Origin: Debian' 'Label: Debian' | head -1)
  [[ -n $mirror ]] || { echo "apt knows no mirror of Debian" >&2; return 1; }
  rm -rf "$folder/root" "$folder/apt"
  mkdir -p "$folder"/apt/{lists/partial,cache/archives/partial} "$folder/root"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$folder/apt/sources.list"
  : >"$folder/apt/status"
  options=(-q -o Dir::Etc::sourcelist="$folder/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::State::Lists="$folder/apt/lists"
    -o Dir::State::status="$folder/apt/status" -o Dir::Cache="$folder/apt/cache" -o APT::Sandbox::User=root)
  { apt-get "${options[@]}" update &&
    apt-get "${options[@]}" install -y --download-only --no-install-recommends "$@"; } >"$folder/apt/log" 2>&1 ||
    { tail -5 "$folder/apt/log" >&2; return 1; }
  for package in "$folder"/apt/cache/archives/*.deb; do dpkg -x "$package" "$folder/root" || return 1; done
}
