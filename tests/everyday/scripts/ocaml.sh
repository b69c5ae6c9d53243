# OCaml, compiled and as a script, with threads and a child
# needs: ocamlopt ocaml gcc
cat > a.ml <<'X'
let rec fib n = if n < 2 then n else fib (n-1) + fib (n-2)
let () = Printf.printf "%d\n" (fib 22); let t = Thread.create (fun () -> print_endline "thr") () in Thread.join t;
 let ic = Unix.open_process_in "echo hi from child" in print_endline (input_line ic); ignore (Unix.close_process_in ic)
X
ocamlopt -I +threads unix.cmxa threads.cmxa a.ml -o a 2>/dev/null; ./a
echo 'print_endline (String.concat "," ["a";"b"]);;' > t.ml; ocaml t.ml
