package config

import (
	"strings"
	"testing"
)

func TestEnginePortIsNeverOpenToTheNetworkWithoutKeys(t *testing.T) {
	for listen, loopback := range map[string]bool{
		"127.0.0.1:8083": true, "127.9.9.9:1": true, "localhost:8083": true, "[::1]:8083": true,
		":8083": false, "0.0.0.0:8083": false, "[::]:8083": false, "10.0.0.1:8083": false, "engine.example.com:8083": false, "localhost.example.com:1": false,
	} {
		text := "engine: {embedded: {listen: \"" + listen + "\", auth: none}}\n"
		_, err := Parse("switchyard.yaml", []byte(text), env())
		if refused := err != nil && strings.Contains(err.Error(), "engine.embedded.auth: "+listen+" can be reached from other machines"); refused == loopback || err == nil != loopback {
			t.Errorf("%s without keys: %v", listen, err)
		}
		if _, err := Parse("switchyard.yaml", []byte(strings.Replace(text, ", auth: none", "", 1)), env()); err != nil {
			t.Errorf("%s with keys: %v", listen, err)
		}
	}
}

func TestEnginePortSettingsThatCannotBeMeant(t *testing.T) {
	for text, want := range map[string]string{
		"auth: off":                                      "engine.embedded.auth: unknown value",
		"auth: none, keys: [{id: A, secret: s}]":         "engine.embedded.keys: auth is none",
		"keys: [{secret: s}]":                            "engine.embedded.keys[0]: id is missing",
		"keys: [{id: A}]":                                "engine.embedded.keys[0]: secret is missing",
		`keys: [{id: A, secret: ""}]`:                    "the secret is empty",
		"keys: [{id: a/b, secret: s}]":                   `engine.embedded.keys[0].id: "a/b" is no access key ID`,
		"keys: [{id: A, secret: s}, {id: A, secret: t}]": `engine.embedded.keys[1].id: "A" is given twice`,
		`hosts: "http://engine"`:                         `engine.embedded.hosts: "http://engine" is no host name`,
		`hosts: ["engine:8083"]`:                         `engine.embedded.hosts[0]: "engine:8083" is no host name`,
		`hosts: ["*"]`:                                   `engine.embedded.hosts[0]: "*" is no host name`,
	} {
		_, err := Parse("switchyard.yaml", []byte("engine: {embedded: {"+text+"}}\n"), env())
		if err == nil || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), "\n") > 0 {
			t.Errorf("%s: %v, want %q alone", text, err, want)
		}
	}
	parseText(t, `engine: {embedded: {auth: keys, keys: [{id: A_1, secret: s}], hosts: [engine, engine.example.com., 10.0.0.1, "fd00::1"]}}`)
}
