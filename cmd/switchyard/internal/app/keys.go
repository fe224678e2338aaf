package app

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// TokenFile is the file in the data folder that holds the API token made at
// the first start, so that the command line on the same machine needs no
// setting up.
const TokenFile = "api.token"

// keyFile holds the secret from which the links of execution pages are made.
const keyFile = "pages.key"

// secretFile returns the content of a secret file in dir, which it makes at
// the first call: 32 random bytes in hex, readable by its owner only.
func secretFile(dir, name string) (string, error) {
	secret, err := readSecretFile(dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return newSecretFile(dir, filepath.Join(dir, name))
	}
	return secret, err
}

func readSecretFile(dir, name string) (string, error) {
	path := filepath.Join(dir, name)
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(text))
	if len(secret) < 32 {
		return "", fmt.Errorf("%s holds no secret; delete it to have a new one made", path)
	}
	return secret, nil
}

// newSecretFile writes the file under another name first: what is found under
// its own name after a crash is whole.
func newSecretFile(dir, path string) (string, error) {
	random := make([]byte, 32)
	rand.Read(random)
	secret := hex.EncodeToString(random)
	f, err := os.CreateTemp(dir, ".new-*") // made with mode 0600
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(secret + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", err
	}
	return secret, os.Rename(f.Name(), path)
}
