# A git repository of many commits: made, cloned, read, repacked and checked. Prints names and sums that depend on the
# number of commits alone: `repository.sh [COMMITS]`, 120 by default. Works in the current folder.
set -eu
commits=${1:-120}
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@a GIT_COMMITTER_NAME=c GIT_COMMITTER_EMAIL=c@c

git init --quiet --initial-branch=main origin
for commit in $(seq "$commits"); do
    export GIT_AUTHOR_DATE="$((1000000000 + commit)) +0000" GIT_COMMITTER_DATE="$((1000000000 + commit)) +0000"
    mkdir -p "origin/$((commit % 10))"
    seq $((commit * 10)) $((commit * 30)) >"origin/$((commit % 10))/$((commit % 25))"
    git -C origin add .
    git -C origin commit --quiet --message="commit $commit"
done
git clone --quiet --no-local origin clone
git -C clone log --patch --stat --format=raw | sha256sum
git -C clone gc --quiet --aggressive --prune=now
git -C clone fsck --full --strict --no-progress
git -C clone rev-parse HEAD 'HEAD^{tree}'
git -C clone blame 1/1 | sha256sum
