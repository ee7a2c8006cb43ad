# docs/prefilter-cpu.svg: CPU per event against the share of irrelevant events. Called by prefilter.py --plot with work (a
# directory of SPIN.WRITE.MODE.dat: place, percent, engine and machine in ns), out and caption. Shares stand at even
# distances, since what happens happens between 75 and 99.
set terminal svg size 960,820 dynamic font "sans-serif,12" background "#ffffff"
set output out
set multiplot layout 2,2 margins 0.10,0.97,0.17,0.90 spacing 0.11,0.12
set logscale y
set grid ytics xtics lc rgb "#dddddd"
set xrange [-0.3:6.3]
set xtics ("0 %%" 0, "25" 1, "50" 2, "75" 3, "90" 4, "95" 5, "99" 6)
set format y "%g"
set key off
set style line 1 lc rgb "#c0392b" lw 2 pt 7 ps 0.6
set style line 2 lc rgb "#1f5fa8" lw 2 pt 7 ps 0.6
set style line 3 lc rgb "#c0392b" lw 2 dt (8,6) pt 6 ps 0.6
set style line 4 lc rgb "#1f5fa8" lw 2 dt (8,6) pt 6 ps 0.6
file(spin, write, mode) = sprintf("%s/%s.%s.%s.dat", work, spin, write, mode)

set label 1 "CPU per event against the share of events that no rule uses" at screen 0.5,0.97 center font ",15"
set label 2 caption at screen 0.5,0.018 center font ",10"
set label 7 "one event a segment: 100,000 events/s; 64 KiB a write: as fast as the window allows" at screen 0.5,0.040 center font ",10"
do for [i=1:4] {
	x = real(word("0.04 0.27 0.49 0.74", i)) - 0.015
	set arrow i from screen x,0.075 to screen x+0.040,0.075 nohead ls i
}
set label 3 "in user space, asleep" at screen 0.085,0.075 font ",10"
set label 4 "in the kernel, asleep" at screen 0.315,0.075 font ",10"
set label 5 "in user space, spinning" at screen 0.535,0.075 font ",10"
set label 6 "in the kernel, spinning" at screen 0.785,0.075 font ",10"

do for [write in "segment bulk"] {
	do for [c=3:4] {
		set title (c == 3 ? "engine" : "machine less its generator").(write eq "segment" ? ", one event a segment" : ", 64 KiB a write") font ",12"
		set ylabel (c == 3 ? "ns an event" : "")
		set xlabel (write eq "bulk" ? "events that no rule uses" : "")
		plot file("sleeping", write, "user") using 1:c with linespoints ls 1, \
		     file("sleeping", write, "kernel") using 1:c with linespoints ls 2, \
		     file("spinning", write, "user") using 1:c with linespoints ls 3, \
		     file("spinning", write, "kernel") using 1:c with linespoints ls 4
		unset label
		unset arrow
	}
}
unset multiplot
