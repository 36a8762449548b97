package api_test

import (
	"strings"
	"testing"

	"github.com/automation-infra/automation-infra/lease"
)

// TestAccessLogIsSampled: of many keepalives few have a line, and the lines say how many have none; what fails has one each.
func TestAccessLogIsSampled(t *testing.T) {
	eachLab(t, func(t *testing.T, l *lab) {
		granted := l.allocate("").want(201)
		const many = 300
		for range many {
			l.keepAlive(granted).want(200)
		}
		for range 20 {
			l.do("POST", granted.str("keepalive_url"), "", "Lease-Token: "+string(lease.NewToken())).want(403)
		}
		text := l.log.String()
		if ok := strings.Count(text, `"route":"/v1/leases/:id/keepalive","status":200`); ok == 0 || ok >= many/2 {
			t.Errorf("%d keepalives have %d lines", many, ok)
		}
		if failed := strings.Count(text, `"route":"/v1/leases/:id/keepalive","status":403`); failed != 20 {
			t.Errorf("20 refused keepalives have %d lines", failed)
		}
		if !strings.Contains(text, `"keepalives_left_out":`) {
			t.Error("no line tells of those that have none")
		}
	})
}
