package plan

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func TestTheSurveysPlansJoinUp(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		plan    Plan
		dms     int
		highest float64
	}{
		"pdev":  {Mock(), 28*76 + 12*64 + 4*76 + 9*76 + 3*76 + 76, 1065.4},
		"WAPP ": {WAPP(), 15 * 76, 1715.2},
	} {
		got, ok := ForBackend(name)
		if !ok || !slices.Equal(got, c.plan) {
			t.Errorf("%s: the plan is %v", name, got)
		}
		if err := c.plan.Check(); err != nil {
			t.Error(err)
		}
		dms := c.plan.DMs()
		if len(dms) != c.dms || dms[len(dms)-1] != c.highest {
			t.Errorf("%s: %d DMs up to %v, want %d up to %v", name, len(dms), dms[len(dms)-1], c.dms, c.highest)
		}
		checkJoined(t, c.plan)
	}
	if _, ok := ForBackend("GUPPI"); ok {
		t.Error("there is a plan for GUPPI")
	}
}

// checkJoined wants each DM one step above the one before.
func checkJoined(t *testing.T, p Plan) {
	t.Helper()
	dms := p.DMs()
	for i := 1; i < len(dms); i++ {
		step := p.StepAt(dms[i-1])
		if d := dms[i] - dms[i-1]; d <= 0 || d > step+0.006 {
			t.Errorf("after a DM of %v comes %v, the step is %v", dms[i-1], dms[i], step)
			return
		}
	}
}

func TestSubbandsAreMadeInTheMiddleOfAPass(t *testing.T) {
	t.Parallel()
	p := Mock().Passes()
	if len(p) != 57 || p[0].SubDM != 3.8 || p[1].SubDM != 11.4 || p[1].DMs[0] != 7.6 || p[1].DMs[75] != 15.1 {
		t.Errorf("%d passes; the second is %+v", len(p), p[1])
	}
	if p[28].Downsample != 2 || p[28].DMs[0] != 212.8 || p[28].SubDM != 222.4 {
		t.Errorf("the first pass of the second step is %+v", p[28])
	}
}

func TestAGeneratedPlanCoversItsRangeAndSmearsLittle(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		data Data
		want Want
	}{
		"Mock":        {Data{65.476e-6, 1375.489, 322.617, 960, 15270}, Want{0, 1000, 1e-4, 96}},
		"the sample":  {Data{500e-6, 1375.489, 322.617, 96, 1024}, Want{0, 1000, 0, 96}},
		"one stage":   {Data{500e-6, 1400, 300, 64, 0}, Want{10, 200, 0, 0}},
		"coarse":      {Data{1e-3, 1400, 300, 32, 7}, Want{0, 300, 0, 16}},
		"narrow":      {Data{64e-6, 430, 10, 128, 1024}, Want{0, 60, 0, 32}},
		"a short run": {Data{500e-6, 1375.489, 322.617, 96, 1024}, Want{40, 41, 0, 96}},
	} {
		p, err := Generate(c.data, c.want)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		dms := p.DMs()
		if dms[0] != c.want.LoDM || dms[len(dms)-1] < c.want.HiDM-p.StepAt(c.want.HiDM)-1e-6 {
			t.Errorf("%s: %v covers %v to %v only", name, p, dms[0], dms[len(dms)-1])
		}
		checkJoined(t, p)
		for i, s := range p {
			sample := c.data.SampleTime * float64(s.Downsample)
			if i > 0 && smear(s.DMStep/2, c.data.Bandwidth, c.data.CenterFreq) > similar*sample {
				t.Errorf("%s: step %+v smears more than a sample over the band", name, s)
			}
			if i > 0 && s.Downsample <= p[i-1].Downsample {
				t.Errorf("%s: %v does not get coarser", name, p)
			}
			if c.data.RowSpectra > 0 && c.data.RowSpectra%s.Downsample != 0 {
				t.Errorf("%s: rows of %d cannot be downsampled by %d", name, c.data.RowSpectra, s.Downsample)
			}
		}
	}
}

func TestAGeneratedPlanForTheMockIsLikeTheSurveys(t *testing.T) {
	t.Parallel()
	p, err := Generate(Data{65.476e-6, 1375.489, 322.617, 960, 15270}, Want{0, 1000, 1e-4, 96})
	if err != nil {
		t.Fatal(err)
	}
	got, want := len(p.DMs()), len(Mock().DMs())
	if p[0].DMStep != 0.1 || p[0].DMsPerPass != 76 || math.Abs(float64(got-want)) > 0.25*float64(want) {
		t.Errorf("%d DMs by %+v, the survey's has %d", got, p, want)
	}
}

func TestDelaysAreThoseOfTheField(t *testing.T) {
	t.Parallel()
	if got := Delay(100, 1400) - Delay(100, 1500); math.Abs(got-0.02729) > 1e-5 {
		t.Errorf("100 pc/cm^3 delay 1400 MHz behind 1500 by %v s", got)
	}
	if got := smear(1, 1, 1000); math.Abs(got-8.299e-6) > 1e-9 {
		t.Errorf("a DM of 1 smears 1 MHz at 1 GHz by %v s, want 8.3 µs", got)
	}
}

func TestWhatCannotBePlannedIsRefused(t *testing.T) {
	t.Parallel()
	good := Data{1e-4, 1400, 300, 64, 0}
	for name, c := range map[string]struct {
		data Data
		want Want
	}{
		"no data":      {Data{}, Want{0, 100, 0, 32}},
		"no range":     {good, Want{100, 100, 0, 32}},
		"negative":     {good, Want{-1, 100, 0, 32}},
		"not a number": {good, Want{0, math.NaN(), 0, 32}},
	} {
		if p, err := Generate(c.data, c.want); err == nil {
			t.Errorf("%s: the plan is %v", name, p)
		}
	}
	for says, p := range map[string]Plan{
		"no steps":    {},
		"begins at":   {{-1, 1, 1, 1, 1, 1}},
		"DM step":     {{0, 0.001, 1, 1, 1, 1}},
		"passes of":   {{0, 1, 0, 1, 1, 1}},
		"downsampled": {{0, 1, 1, 1, 1, 0}},
	} {
		if err := p.Check(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: the error is %v", p, err)
		}
	}
}
