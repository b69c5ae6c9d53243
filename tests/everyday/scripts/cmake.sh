# cmake
# needs: cmake gcc
printf 'cmake_minimum_required(VERSION 3.10)\nproject(p C)\nadd_library(l STATIC l.c)\nadd_executable(p p.c)\ntarget_link_libraries(p l)\n' >CMakeLists.txt
echo 'int l(void) { return 4; }' >l.c
echo 'int l(void); int main(void) { return l(); }' >p.c
cmake -S . -B b >/dev/null && cmake --build b -j2 >/dev/null && b/p
echo $?
