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

	"switchyard/internal/datadir"
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
		return newSecretFile(filepath.Join(dir, name))
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

func newSecretFile(path string) (string, error) {
	random := make([]byte, 32)
	rand.Read(random)
	secret := hex.EncodeToString(random)
	return secret, datadir.WriteFile(path, []byte(secret+"\n"))
}
