# git
# needs: git
export HOME=$PWD GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b GIT_AUTHOR_DATE=@1000000000+0000 GIT_COMMITTER_DATE=@1000000000+0000
git init -q -b main repo && cd repo && for i in 1 2 3; do echo line $i >>file; mkdir -p d$i; echo $i >d$i/f; git add -A; git commit -q -m "commit $i"; done
git log --oneline; git status --short; echo more >>file; git diff; git stash -q; git stash pop -q; git checkout -q -b topic; git commit -qam topic; git checkout -q main; git merge -q topic; git log --stat -1
cd .. && git clone -q repo copy && cd copy && git log --format=%H%n%s && git fsck && git gc -q && git grep -n line && git blame -s file && git archive HEAD | tar t && git tag v1 && git describe --tags
