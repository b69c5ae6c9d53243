# sed with its less known commands and options
# needs: sed
printf '%s\n' one two three four five > f; sed -n '2,4p;/five/=' f; sed -i.bak -e 's/o/0/g' f; cat f f.bak; sed -e '1!G;h;$!d' f; sed -n '/two/,/four/{w out
p}' f; cat out; sed -s -n '$=' f f.bak; sed '2r f.bak' f; sed 'e echo hi' f; sed -u 2q f; sed --follow-symlinks -i 's/t/T/' f; ls; sed -z 's/\n/,/g' f; sed -E 's/(.)(.)/\2\1/' f; sed '$!N;P;D' f; sed y/abc/xyz/ f; sed -n l f | head -2; sed --debug -n 1p f; sed -i s/a/b/ nonexist; echo $?; sed -n '1~2p' f; sed '0~2d' f; sed -e 's/x/\n/w /dev/stdout' f
