# jq's filters, options, errors
# needs: jq
jq -n '[range(5)]|add'; echo '{"a":[1,{"b":null}]}' | jq '.. | numbers'; echo '[3,1,2]' | jq -c 'sort,reverse,map(.*2)'; jq -n 'env.LC_ALL,$ENV.TZ'; jq -n '"x"|error' ; echo $?; jq -e . <<< null; echo $?; jq -r '@base64,@uri,@sh' <<< '"a b"'; jq -n --arg x 1 '$x'; jq -n '"2015-03-05T23:51:47Z"|fromdate'; jq . nofile; echo $?; jq -n 'input' ; jq -R . <<< text; jq -s . <<< '1 2'; jq --seq . <<< 1 | od -c; jq -n '[limit(3;repeat(1))]' -c; jq -n 'now|type'; jq --tab . <<< '{"a":1}'; jq -C . <<< '{"a":1}'
