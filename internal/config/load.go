package config

import (
	"fmt"
	"io/fs"
	"os"
)

// maxFile is more than any configuration file needs, bytes. It is there for
// the day when --config names a raw data file.
const maxFile = 1 << 20

// Env is what reading a configuration may know of the world around the file.
type Env struct {
	// Environ are the environment variables, each as "NAME=value".
	Environ []string
	// ReadFile returns the content and the mode of a secret's file, and an
	// error that is fs.ErrNotExist if there is none. If it is nil, secrets
	// in files are not read and stay empty, and no check asks for them.
	ReadFile func(path string) ([]byte, fs.FileMode, error)
}

// OSEnv is the environment of this process, with its files.
func OSEnv() Env { return Env{os.Environ(), readSecretFile} }

// Load reads the configuration file and checks all of it, also against this
// host: secrets in files are read, and directories must exist and be writable.
// It is for the daemons, and for commands that act as one of them would. Its
// error is of type Mistakes.
func Load(path string) (*Config, error) {
	r := load(path, OSEnv())
	if r.understood {
		checkHost(&r.report)
	}
	return r.result()
}

// LoadFile reads and checks the configuration file without regard to this
// host: it needs no directory and does not read secrets in files. It is for
// commands on compute nodes, and for those that only look. Its error is of
// type Mistakes.
func LoadFile(path string) (*Config, error) {
	return load(path, Env{Environ: os.Environ()}).result()
}

// Parse reads and checks the text of a configuration file; its name is for the
// messages. Its error is of type Mistakes.
func Parse(name string, data []byte, env Env) (*Config, error) {
	return parse(name, data, env).result()
}

// load is parse of a file, and also tells when others may read secrets in it.
func load(path string, env Env) *reader {
	data, mode, err := readLimited(path, maxFile)
	if err != nil {
		r := newReader(path, env)
		r.add("", "cannot be read: "+reason(err), "name the configuration file with --config, or begin with a copy of config.example.toml")
		return r
	}
	r := parse(path, data, env)
	if othersMay(mode) {
		for _, secret := range r.inline {
			r.add(secret, fmt.Sprintf("is a secret in a file that is open to others (mode %04o)", mode),
				"close it: chmod o= "+path)
		}
	}
	return r
}

// parse reads and checks a text. The reader holds the result and the mistakes.
func parse(name string, data []byte, env Env) *reader {
	r := newReader(name, env)
	raw, ok := r.parseTOML(data)
	if !ok {
		return r
	}
	r.understood = true
	r.decode(raw)
	r.applyEnvironment()
	r.resolveSecrets()
	r.setStageDefaults()
	r.check()
	return r
}

// result returns the configuration, or everything that is wrong with it.
func (r *reader) result() (*Config, error) {
	if err := r.err(); err != nil {
		return nil, err
	}
	return r.cfg, nil
}
