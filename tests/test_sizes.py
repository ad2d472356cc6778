"""The house stays as small as it says it is."""

from sizes import sizes


def test_the_parts_keep_to_their_sizes():
    house = sizes()
    assert house["minirl.py, Part I"][0] <= 1200 and house["minirl.py"][0] <= 2500
    assert house["README.md"][0] <= 150
    assert house["minirl.py, Part I"][1][0] <= 60, house["minirl.py, Part I"][1]  # a screen
    assert house["minirl.py, Part II"][1][0] <= 60, house["minirl.py, Part II"][1]
