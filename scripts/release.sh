#!/usr/bin/env bash
# Makes all that a release has, in build/release: the image for amd64 and arm64, Debian packages, archives that need
# nothing of the system, the Helm chart, the kustomizations, the plugin of kubectl, lists of what is inside (SPDX), SHA256SUMS.
#
#   scripts/release.sh [--image NAME] [--url URL] [--output DIR] VERSION
#   scripts/release.sh --check VERSION        makes it twice, from two new folders, and compares
#   scripts/release.sh --try [--only ARCHITECTURE] [--no-build] [--output DIR]
#
# VERSION is that of CMakeLists.txt, the manifests and the topmost heading of CHANGELOG.md, which has a date; the tree is as
# committed. NAME is where the image will be (default: localhost/kubenatd), URL where these files will be (for krew).
# --try asks for none of that and makes no release: the folder (default: build/release-try) says so. --only leaves the other
# architecture out, --no-build takes build/kubenatd and build/ARCHITECTURE/kubenatd as they are.
# The same commit with the same compiler and packages gives the same bytes, on any machine and in any folder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
repo=$PWD
umask 022
export LC_ALL=C TZ=UTC

usage() {
  sed -n 's/^#   \(scripts\/release.sh.*\)/usage: \1/p' "$repo/scripts/release.sh" >&2
  exit 2
}
fail() {
  echo "release: $*" >&2
  exit 1
}

image=localhost/kubenatd url=https://example.org/kubenatd output='' try='' build=1 check='' only='' wanted=''
while (($# > 0)); do
  case $1 in
    --image | --url | --output | --only)
      if (($# < 2)) || [[ -z $2 ]]; then usage; fi
      case $1 in
        --image) image=$2 ;;
        --url) url=${2%/} ;;
        --output) output=$(realpath -m -- "$2") ;;
        --only) only=$2 ;;
      esac
      shift
      ;;
    --check) check=1 ;;
    --try) try=1 ;;
    --no-build) build='' ;;
    -*) usage ;;
    *)
      if [[ -n $wanted ]]; then usage; fi
      wanted=$1
      ;;
  esac
  shift
done
if [[ -z $try && (-z $wanted || -n $only || -z $build) ]] || [[ -n $try && -n $check ]]; then usage; fi
case $only in
  '') architectures=(amd64 arm64) ;;
  amd64 | arm64) architectures=("$only") ;;
  *) usage ;;
esac

version=$(sed -n 's/^project(kubenatd VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
commit=$(git rev-parse HEAD) || fail "this is no git repository"
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH

# What may be released.
if [[ -n $wanted && $wanted != "$version" ]]; then fail "CMakeLists.txt has version $version, not $wanted"; fi
for file in manifests/base/kustomization.yaml:newTag manifests/chart/Chart.yaml:version manifests/chart/Chart.yaml:appVersion; do
  found=$(sed -n "s/^ *${file#*:}: *//p" "${file%:*}")
  [[ $found == "$version" ]] || fail "${file%:*} has ${file#*:} $found, not $version"
done
if [[ -z $try ]]; then
  heading=$(grep --max-count=1 '^## ' CHANGELOG.md)
  [[ $heading =~ ^"## [$version] - "[0-9]{4}-[0-9]{2}-[0-9]{2}$ ]] ||
    fail "the topmost heading of CHANGELOG.md is '$heading', not '## [$version] - DATE'"
  changed=$(git status --porcelain)
  [[ -z $changed ]] || fail "the tree is not as it was committed:"$'\n'"$changed"
fi

if [[ -n $check ]]; then
  work=$(mktemp --directory)
  trap 'rm -rf "$work"' EXIT
  # Everything is compiled anew: what was compiled for one folder would be taken for the other.
  export CCACHE_RECACHE=1
  for folder in one another/and-deeper; do
    git clone --quiet --no-hardlinks "$repo" "$work/$folder"
    git -C "$work/$folder" checkout --quiet --detach "$commit"
    "$work/$folder/scripts/release.sh" --image "$image" --url "$url" --output "$work/made-in-${folder%%/*}" "$wanted"
  done
  diff "$work/made-in-one/SHA256SUMS" "$work/made-in-another/SHA256SUMS" || fail "two folders gave different files"
  echo "release: $wanted is the same from two folders"
  exit
fi

# The programs.
if [[ -n $build ]]; then
  scripts/install.sh build
  for architecture in "${architectures[@]}"; do
    if [[ $architecture == "$(dpkg --print-architecture)" ]]; then
      cmake --preset release >/dev/null
      cmake --build --preset release --target kubenatd
    else
      scripts/cross.sh "$architecture" kubenatd
    fi
  done
fi
folder_of() {
  if [[ $1 == "$(dpkg --print-architecture)" ]]; then echo "$repo/build"; else echo "$repo/build/$1"; fi
}
for architecture in "${architectures[@]}"; do
  program=$(folder_of "$architecture")/kubenatd
  [[ -x $program ]] || fail "$program is not there"
  # A changed tree's program says so behind the commit, see commit.cmake.
  if [[ -z $try ]] && { ! grep --quiet --text --fixed-strings "$commit" "$program" ||
    grep --quiet --text --fixed-strings "$commit-changed" "$program"; }; then
    fail "$program is not of commit $commit"
  fi
done

output=${output:-$repo/build/release${try:+-try}}
rm -rf "$output"
mkdir -p "$output"
work=$(mktemp --directory)
trap 'rm -rf "$work"' EXIT

# archive FILE FOLDER...: of folders in $work; sorted, of root, with the commit's time.
archive() {
  local file=$1
  shift
  (cd "$work" && find "$@" -print0 | sort --zero-terminated |
    tar --create --no-recursion --null --files-from=- --format=ustar --owner=0 --group=0 --numeric-owner \
      --mode=u=rwX,go=rX --mtime="@$SOURCE_DATE_EPOCH") | gzip --best --no-name >"$output/$file"
}

for architecture in "${architectures[@]}"; do
  build_folder=$(folder_of "$architecture")
  echo "release: $architecture"
  if ! cpack --config "$build_folder/CPackConfig.cmake" -B "$work/deb-$architecture" >"$work/log" 2>&1; then
    cat "$work/log" >&2
    fail "no Debian package was made"
  fi
  mv "$work/deb-$architecture"/*.deb "$output"

  # The image's files are the program and all that it needs, also its loader.
  scripts/image.sh --rootfs "$work/rootfs-$architecture" --platform "linux/$architecture" \
    --binary "$build_folder/kubenatd" >/dev/null
  scripts/release/bundle.sh "$work/rootfs-$architecture" "$work/kubenatd-$version-linux-$architecture"
  archive "kubenatd-$version-linux-$architecture.tar.gz" "kubenatd-$version-linux-$architecture"
  admindir=/var/lib/dpkg
  if [[ $build_folder != "$repo/build" ]]; then admindir=$repo/build/sysroot-$architecture/var/lib/dpkg; fi
  python3 scripts/release/sbom.py --rootfs "$work/rootfs-$architecture" --admindir "$admindir" \
    --architecture "$architecture" --version "$version" --commit "$commit" >"$output/kubenatd-$version-linux-$architecture.spdx.json"
done

platforms=$(printf ',linux/%s' "${architectures[@]}")
scripts/image.sh --platform "${platforms:1}" --name "$image:$version" --output "$output/kubenatd-$version-image.tar"

# What has no architecture. Links lead out of the folder that is packed.
mkdir "$work/charts"
cp --recursive --dereference manifests/chart "$work/charts/kubenatd"
sed -i "s|^  repository: .*|  repository: $image|" "$work/charts/kubenatd/values.yaml"
(work=$work/charts && archive "kubenatd-chart-$version.tgz" kubenatd)

mkdir -p "$work/kubenatd-manifests-$version"
cp --recursive manifests/base manifests/kind manifests/monitoring manifests/systemd manifests/README.md LICENSE \
  "$work/kubenatd-manifests-$version"
sed -i "s|newName: .*|newName: $image|" "$work/kubenatd-manifests-$version/base/kustomization.yaml"
archive "kubenatd-manifests-$version.tar.gz" "kubenatd-manifests-$version"

mkdir "$work/plugin"
cp scripts/kubectl-kubenatd LICENSE "$work/plugin"
(work=$work/plugin && archive "kubectl-kubenatd-$version.tar.gz" kubectl-kubenatd LICENSE)
sum=$(sha256sum "$output/kubectl-kubenatd-$version.tar.gz")
sed -e "s|@VERSION@|$version|g" -e "s|@URL@|$url|g" -e "s|@SHA256@|${sum%% *}|g" scripts/release/krew.yaml \
  >"$output/kubenatd-krew-$version.yaml"

if [[ -n $try ]]; then echo "A try of scripts/release.sh: no release." >"$output/NO-RELEASE"; fi
(cd "$output" && find . -type f ! -name SHA256SUMS -printf '%P\n' | sort | xargs sha256sum) >"$work/sums"
mv "$work/sums" "$output/SHA256SUMS"
chmod 0644 "$output"/*
echo "release: $version of commit $commit in $output"
(cd "$output" && ls -l --human-readable --time-style=+ | sed 1d)
