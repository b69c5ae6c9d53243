# make with a server of jobs
# needs: make
cat > Makefile <<'X'
SUB=a b c
all: $(SUB)
$(SUB):
	+@$(MAKE) --no-print-directory -f sub.mk N=$@
X
cat > sub.mk <<'X'
all: 1.$(N) 2.$(N) 3.$(N)
%.$(N):
	@sleep 0.05; echo $@ > $@; echo made $@
X
make -j4 2>&1 | sort
make -O -j3 -B -f sub.mk N=z | sort
make -f sub.mk N=q -q
echo $?
