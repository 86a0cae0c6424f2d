# Hashes, arrays, strings, regular expressions, closures and sorting in Perl. Prints lines that depend on the scale alone: `words.pl [SCALE]`,
# 10 by default.
use strict;
use warnings;

my $scale = shift // 10;
my $state = 12345;
sub chance { my ($below) = @_; $state = ($state * 1103515245 + 12345) % 2147483648; return int($state / 65536) % $below }

my @vocabulary = map { join '', map { chr(97 + chance(16)) } 0 .. 2 + chance(8) } 1 .. 4000;
my (%count, %places);
for my $line (1 .. 1500 * $scale) {
    my @words = map { $vocabulary[chance(4000)] } 1 .. 20;
    my $text = join ' ', @words;
    $text =~ s/([aeiou])(\w)/$2$1/g;
    for my $word (split /\s+/, $text) {
        $count{$word}++;
        push @{ $places{$word} }, $line;
        shift @{ $places{$word} } if @{ $places{$word} } > 40;
    }
}
my @most = sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count;
print scalar(@most), " words; $_ $count{$_}: $places{$_}[-1]\n" for @most[0 .. 9];

my %tree;
for my $turn (1 .. 2000 * $scale) {
    my $node = \%tree;
    $node = $node->{ chance(12) } //= {} for 1 .. 5;
    $node->{value} = [ $turn, "value $turn" ];
    delete $tree{ chance(12) } if $turn % 500 == 0;
}
sub depth { my ($node) = @_; my $sum = 0; $sum += ref $node->{$_} eq 'HASH' ? depth($node->{$_}) : 1 for keys %$node; return $sum }
print 'leaves ', depth(\%tree), "\n";

my @adders = map { my $amount = $_; sub { $_[0] + $amount } } 1 .. 200;
my $total = 0;
$total += $adders[ $_ % 200 ]->($_) for 1 .. 20000 * $scale;
print "total $total\n";
