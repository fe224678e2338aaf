package githost_test

import (
	"testing"

	"switchyard/githost"
)

const ourURL = "https://ci.example.com/webhooks/github"

func TestSameURL(t *testing.T) {
	for url, same := range map[string]bool{
		ourURL: true, ourURL + "/": true, "HTTPS://CI.example.com:443/webhooks/github": true,
		"http://ci.example.com/webhooks/github": false, ourURL + "2": false, "https://ci.example.com:8443/webhooks/github": false,
		"https://ci.example.com/webhooks/GitHub": false, ourURL + "?x=1": false, "": false, "%": false,
	} {
		if githost.SameURL(url, ourURL) != same {
			t.Errorf("%q: want %v", url, same)
		}
	}
	if githost.SameURL("", "") {
		t.Error("nothing leads to nothing")
	}
}
