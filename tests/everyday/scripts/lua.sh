# A script in Lua: files, children, coroutines.
# needs: lua5.4
cat > main.lua <<'END'
print(_VERSION) local f = io.open("f", "w") f:write("a\nb\n") f:close() for l in io.lines("f") do print(l) end
local p = io.popen("cat f; exit 3") print(p:read("a")) print(p:close()) print(os.execute("exit 4")) local co = coroutine.wrap(function() for i=1,3 do coroutine.yield(i) end end) print(co(), co(), co())
local t = {} for i = 1, 100000 do t[i] = i * 2 end print(#t, collectgarbage("count") > 0) print(pcall(error, "x")) print(string.format("%5.2f %q", 3.14159, "a\nb")) os.remove("f") print(os.rename("no", "no2")) print(os.getenv("HOME")) os.exit(5)
END
lua5.4 main.lua
echo $?
