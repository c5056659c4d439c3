package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// credentials is the variable by which systemd tells where a unit's credentials are.
const credentials = "CREDENTIALS_DIRECTORY"

// maxSecret is more than any password needs, bytes.
const maxSecret = 64 << 10

// resolveSecrets finds each secret where it is: in the environment, as a
// credential, in the file that its *_file setting names, or in the
// configuration itself, the first of these that has it.
func (r *reader) resolveSecrets() {
	for section, table := range sections(r.cfg) {
		for key, field := range settings(table) {
			path := section + "." + key
			if !isSecret(field) || strings.HasPrefix(r.cfg.origin.place(path).file, "$") {
				continue // applyEnvironment has set it
			}
			if secret, ok := r.storedSecret(path); ok {
				field.SetString(string(secret))
			}
		}
	}
}

// storedSecret reads a secret that is in a file of its own.
func (r *reader) storedSecret(path string) (secret Secret, ok bool) {
	if dir := r.environ[credentials]; dir != "" && r.readFile != nil {
		file := filepath.Join(dir, path)
		data, mode, err := r.readFile(file)
		if !errors.Is(err, fs.ErrNotExist) {
			r.cfg.origin.elsewhere[path] = place{file: file}
			return r.checkSecret(path, file, data, mode, err)
		}
	}
	file, named := r.secretFiles[path]
	if !named {
		return "", false
	}
	if r.broken[path+"_file"] {
		r.broken[path] = true
		return "", false
	}
	r.cfg.origin.elsewhere[path] = r.cfg.origin.place(path + "_file")
	if !filepath.IsAbs(file) { // not quoted: it may be the secret itself
		r.fail(path, "is to be read from a path that is not absolute", "begin it with /")
		return "", false
	}
	if r.readFile == nil {
		return "", true
	}
	data, mode, err := r.readFile(file)
	return r.checkSecret(path, file, data, mode, err)
}

// checkSecret returns the secret in a file, if all is well with that file.
func (r *reader) checkSecret(path, file string, data []byte, mode fs.FileMode, err error) (secret Secret, ok bool) {
	text := strings.TrimRight(string(data), "\r\n")
	switch {
	case err != nil:
		r.fail(path, fmt.Sprintf("cannot be read from %s: %s", file, reason(err)),
			"put the secret there, readable for the daemons' user")
	case othersMay(mode):
		r.fail(path, fmt.Sprintf("is in %s, which is open to others (mode %04o)", file, mode.Perm()), "close it: chmod o= "+file)
	case text == "":
		r.fail(path, "is in "+file+", which is empty", "put the secret there, on one line")
	case !printable(text):
		r.fail(path, "is in "+file+", which has more than one line of text", "put the secret there, on one line")
	default:
		return Secret(text), true
	}
	return "", false
}

// othersMay reports whether a file is open to all and sundry. A group is
// fine: that is how daemons and operators share one.
func othersMay(mode fs.FileMode) bool { return mode.Perm()&0o007 != 0 }

func readSecretFile(path string) ([]byte, fs.FileMode, error) { return readLimited(path, maxSecret) }

// errNotAFile: reading a pipe or a device might never end.
var errNotAFile = errors.New("not a regular file")

// readLimited reads a small regular file and returns its permissions.
func readLimited(path string, limit int64) ([]byte, fs.FileMode, error) {
	info, err := os.Stat(path) // before opening it, which blocks on a pipe
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errNotAFile
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = f.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("larger than %s", Size(limit))
	}
	return data, info.Mode().Perm(), err
}

// reason is an error without the operation and path, which the message has already.
func reason(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err.Error()
	}
	return err.Error()
}
