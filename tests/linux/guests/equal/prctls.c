/* prctl: every option with small and odd arguments; what is set is read back. */
#include "show.h"

int main(void) {
    static char buf[4096]; unsigned long args[] = {0, 1, 2, 3, 64, 65, -1UL, 8};
    for (int option = 0; option < 80; option++) {
        if (option == 22 || option == 35 || option == 59 || option == 24 || option == 28 || option == 57 || option == 47 || option == 43 || option == 44 || option == 12 || option == 60 || option == 62 || option == 61 || option == 6 || option == 5 || option == 9 || option == 10 || option == 11 || option == 19 || option == 20) continue;
        if (option == 50 || option == 51 || (option >= 54 && option <= 58) || option == 37 || option == 25 || option == 40 || option == 27 || option == 23 || option == 41 || option == 65 || option == 66 || option > 66 || option == 26 || option == 52 || option == 53 || option == 45 || option == 46 || option == 48 || option == 49) continue;
        for (int i = 0; i < 8; i++) { printf("%d(%lx): ", option, args[i]); R(prctl(option, args[i], 0, 0, 0)); }
        printf("%d with more: ", option); R(prctl(option, 0, 1, 0, 0)); R(prctl(option, 1, 1, 1, 1)); R(prctl(option, 0, 0, 0, 1));
    }
    int v = 0; R(prctl(PR_SET_PDEATHSIG, 10)); R(prctl(PR_GET_PDEATHSIG, &v)); R(v); R(prctl(PR_SET_NAME, "0123456789abcdefghij")); R(prctl(PR_GET_NAME, buf)); printf("%s\n", buf); R(prctl(PR_SET_NAME, "")); R(prctl(PR_GET_NAME, buf)); printf("[%s]\n", buf); R(prctl(PR_SET_NAME, BAD)); R(prctl(PR_GET_NAME, BAD)); R(prctl(PR_SET_TIMERSLACK, 1234)); R(prctl(PR_GET_TIMERSLACK)); R(prctl(PR_SET_TIMERSLACK, 0)); R(prctl(PR_GET_TIMERSLACK)); R(prctl(PR_SET_CHILD_SUBREAPER, 5)); R(prctl(PR_GET_CHILD_SUBREAPER, &v)); R(v); R(prctl(PR_SET_DUMPABLE, 0)); R(prctl(PR_GET_DUMPABLE)); R(prctl(1000)); R(prctl(-1)); R(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); R(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)); R(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0)); R(prctl(PR_SET_KEEPCAPS, 1)); R(prctl(PR_GET_KEEPCAPS)); R(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)); R(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0)); R(prctl(PR_MCE_KILL, 1, 1, 0, 0)); R(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
    unsigned long base; S(arch_prctl, 0x1003, &base); S(arch_prctl, 0x1003, BAD); S(arch_prctl, 0x1004, &base); R(base); S(arch_prctl, 0x1001, 0x1234); S(arch_prctl, 0x1004, &base); R(base); S(arch_prctl, 0x1001, 0); S(arch_prctl, 0x1002, -1L); S(arch_prctl, 0, 0); S(arch_prctl, 0x1001, 1L << 47);
    return 0;
}
