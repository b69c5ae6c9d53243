# find by odd predicates
mkdir -p d/e/f
echo a > d/1
: > d/2
ln -s 1 d/l
ln -s nowhere d/br
touch -d '3 days ago' d/old
chmod 2755 d/e
chmod u+s d/1
truncate -s 5000 d/e/big
ln d/1 d/e/hl
find d -type l -xtype l
find d -samefile d/1 | sort
find d -size +4k -o -empty | sort
find d -perm -4000
find d -perm /6000 | sort
find d -mtime +2
find d -newer d/old -type f | sort
find -L d -type f | sort
find d -links +1 -printf '%n %p\n' | sort
find d -maxdepth 1 -printf '%y %m %s %f\n' | sort
find d -name '*' -regex '.*/[0-9]' | sort
find d -path '*/e/*' -prune -o -print | sort
find d -type d -exec sh -c 'echo $#' _ {} +
find d -depth | tail -1
find d -readable -writable -executable -type f
find d -ls | awk '{print $3,$4,$7}' | sort
find d -type f -execdir basename {} \; | sort
find d -inum $(stat -c %i d/2)
find d -delete
ls d 2>&1;
